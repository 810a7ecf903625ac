"""Losses after pruning one weight, computed by hand in NumPy; and weights that come back as they were."""

import dataclasses
import itertools
import json

import keras
import numpy as np
import pytest
from keras import layers
from oracles import pruning as oracle

from keras_arch.compression import LayerSensitivity, SensitivityReport, prune, sensitivity
from keras_arch.compression.pruning.criteria import Random

pytestmark = pytest.mark.backend

SPARSITIES = (0.25, 0.5, 0.75)


def network(dtype="float32"):
    body = layers.Dense(4, use_bias=False, name="body", dtype=dtype)
    return keras.Sequential([keras.Input((6,)), body, layers.Dense(2, use_bias=False, name="head", dtype=dtype)])


def compiled(dtype="float32"):
    model = network(dtype)
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
    return model


@pytest.fixture
def data(rng):
    return rng.normal(size=(10, 6)).astype("float32"), rng.normal(size=(10, 2)).astype("float32")


def by_hand(x, y, body, head):
    """Loss and metric of the linear network, in float64."""
    gap = x.astype("float64") @ body.astype("float64") @ head.astype("float64") - y
    return {"loss": np.mean(gap**2), "mae": np.mean(np.abs(gap))}


def without_smallest(weight, sparsity):
    return np.where(oracle.smallest(np.abs(weight), round(sparsity * weight.size)), 0, weight)


def state_of(model):
    return [(variable.path, variable.numpy().tobytes()) for variable in model.variables]


def sums(model):
    """A measure with two numbers that tell the weights apart."""
    weights = model.get_weights()
    return {"sum": sum(float(np.abs(weight).sum()) for weight in weights), "zeros": float(oracle.zeros(weights[0]))}


def recording(seen):
    """A measure that counts, and notes the weights it sees."""
    return lambda model: len(seen.append(model.get_weights()) or seen)


def test_losses_and_metrics_are_those_of_the_linear_network_by_hand(data):
    model = compiled()
    body, head = model.get_weights()
    report = sensitivity(model, *data, sparsities=SPARSITIES, batch_size=5, verbose=0)
    assert report.sparsities == SPARSITIES
    assert [(row.name, row.shape, row.size) for row in report.layers] == [
        ("body/kernel", (6, 4), 24),
        ("head/kernel", (4, 2), 8),
    ]
    expected = by_hand(*data, body, head)
    assert set(report.baseline) == {"loss", "mae"}
    for metric in expected:
        assert report.baseline[metric] == pytest.approx(expected[metric], rel=1e-5)
        for place, sparsity in enumerate(SPARSITIES):
            first = by_hand(*data, without_smallest(body, sparsity), head)[metric]
            second = by_hand(*data, body, without_smallest(head, sparsity))[metric]
            assert report.layers[0].values[metric][place] == pytest.approx(first, rel=1e-5)
            assert report.layers[1].values[metric][place] == pytest.approx(second, rel=1e-5)


def test_sample_weights_reach_the_loss(data):
    model = compiled()
    body, head = model.get_weights()
    weights = np.arange(10.0, dtype="float32")
    report = sensitivity(model, *data, sparsities=[0.5], sample_weight=weights, verbose=0)
    gap = (data[0] @ body @ without_smallest(head, 0.5) - data[1]).astype("float64")
    # "sum_over_batch_size": the weighted losses over the number of samples; Keras weighs batches by their samples.
    assert report.layers[1].values["loss"][0] == pytest.approx(np.mean(weights * np.mean(gap**2, axis=1)), rel=1e-5)


def test_pruning_is_that_of_prune_with_any_criterion_pattern_and_targets():
    options = {"criterion": Random(3), "pattern": "nm", "targets": ["head"]}
    model, seen = network(), []
    before = model.get_weights()
    report = sensitivity(model, measure=recording(seen), sparsities=[0.25, 0.5], verbose=0, **options)
    assert [row.name for row in report.layers] == ["head/kernel"]
    for sparsity, weights in zip(report.sparsities, seen[1:], strict=True):
        model.set_weights(before)
        prune(model, sparsity, **options)
        for one, other in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(one, other)


def test_what_goes_along_with_a_channel_comes_back_too():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, "relu", name="body"), layers.Dense(2, name="head")])
    model.layers[0].bias.assign(np.arange(1.0, 5.0))
    before, seen = state_of(model), []
    report = sensitivity(model, measure=recording(seen), pattern="channel", sparsities=[0.25, 0.5], verbose=0)
    assert [row.name for row in report.layers] == ["body/kernel"]  # outputs of the model can't go
    zeros = [[oracle.zeros(weight) for weight in weights[:3]] for weights in seen]
    assert zeros == [[0, 0, 0], [6, 1, 0], [12, 2, 0]]
    assert state_of(model) == before


class Reading:
    """A criterion that takes a pass over data of its own."""

    def __init__(self):
        self.passes = []

    def for_model(self, model, variables):
        self.passes.append([variable.path for variable in variables])
        return lambda variable: np.arange(float(np.prod(variable.shape))).reshape(variable.shape)


def test_a_criterion_that_reads_data_does_so_once_for_all_weights_after_the_check_of_the_door():
    model, criterion, seen = network(), Reading(), []
    sensitivity(model, measure=recording(seen), criterion=criterion, sparsities=SPARSITIES, verbose=0)
    assert criterion.passes == [[variable.path for variable in model.weights]] * 2
    np.testing.assert_array_equal(np.flatnonzero(seen[2][0] == 0), np.arange(12))


def test_only_one_weight_is_pruned_at_a_time():
    seen = []
    model = network()
    sensitivity(model, measure=recording(seen), sparsities=SPARSITIES, verbose=0)
    zeros = [[oracle.zeros(weight) for weight in weights] for weights in seen]
    assert zeros == [[0, 0], [6, 0], [12, 0], [18, 0], [0, 2], [0, 4], [0, 6]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_are_bit_for_bit_what_they_were(dtype, data):
    model = compiled(dtype)
    kernel = model.layers[0].kernel.numpy().copy()
    kernel[0, :3] = [0.0, -0.0, 1e-6]
    model.layers[0].kernel.assign(kernel)
    before = state_of(model)
    sensitivity(model, *data, sparsities=SPARSITIES, verbose=0)
    assert state_of(model) == before


def test_whatever_a_measure_writes_is_taken_back(data):
    model = compiled()
    before = state_of(model)
    losses = []

    def training(model):
        losses.append(model.evaluate(*data, verbose=0, return_dict=True)["loss"])
        model.fit(*data, epochs=2, verbose=0)
        return 1.0

    report = sensitivity(model, measure=training, sparsities=[0.0, 0.5], targets=["head"], verbose=0)
    assert report.layers[0].values == {"measure": (1.0, 1.0)}
    assert state_of(model) == before
    assert losses[0] == losses[1] != losses[2]


class Drifting(layers.Layer):
    """A layer with state that changes at inference too."""

    def build(self, input_shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.noise = keras.random.SeedGenerator(1)

    def call(self, x):
        self.calls.assign_add(1.0)
        return x + self.calls + keras.random.normal((1, 1), seed=self.noise)


def test_every_measurement_starts_from_the_same_state(data):
    model = keras.Sequential([keras.Input((6,)), Drifting(), layers.Dense(2, name="head")])
    model.compile(loss="mse")
    before = state_of(model)
    report = sensitivity(model, *data, sparsities=[0.0], verbose=0)
    assert report.layers[0].values["loss"] == (report.baseline["loss"],)
    assert state_of(model) == before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("fails_at", [1, 2, 4])
def test_weights_come_back_when_a_measure_fails(error, fails_at):
    model = network()
    before = state_of(model)
    count = itertools.count(1)

    def failing(model):
        if next(count) == fails_at:
            raise error("stop")
        return 1.0

    with pytest.raises(error, match="stop"):
        sensitivity(model, measure=failing, sparsities=SPARSITIES, verbose=0)
    assert next(count) == fails_at + 1
    assert state_of(model) == before


class Breaking(keras.utils.PyDataset):
    """Five batches; the file is gone after `reads` of them."""

    def __init__(self, x, y, reads):
        super().__init__()
        self.x, self.y, self.reads = x, y, reads

    def __len__(self):
        return 5

    def __getitem__(self, index):
        self.reads -= 1
        if self.reads < 0:
            raise OSError("the file is gone")
        return self.x[2 * index : 2 * index + 2], self.y[2 * index : 2 * index + 2]


class Asking(keras.callbacks.Callback):
    """Keras brings a model of the JAX backend up to date whenever a callback asks for it."""

    def on_train_begin(self, logs=None):
        self.weights = self.model.get_weights()


@pytest.mark.filterwarnings("ignore")  # TensorFlow's threads complain of the error too
def test_weights_come_back_when_the_data_fail_in_the_middle_of_an_evaluation(data):
    model = compiled()
    before, weights = state_of(model), model.get_weights()
    model.evaluate(*data, verbose=0)
    with pytest.raises(Exception, match="the file is gone"):
        sensitivity(model, Breaking(*data, reads=27), sparsities=SPARSITIES, verbose=0)
    assert state_of(model) == before
    asking = Asking()
    model.fit(*data, verbose=0, callbacks=[asking])
    for kept, seen in zip(weights, asking.weights, strict=True):
        np.testing.assert_array_equal(seen, kept)


def test_metrics_and_optimizer_are_left_as_by_one_evaluate(data):
    model = compiled()
    model.fit(*data, verbose=0)
    model.evaluate(*data, verbose=0)
    metrics = [
        (metric.name, metric.variables and [v.numpy().tobytes() for v in metric.variables]) for metric in model.metrics
    ]
    optimizer = [variable.numpy().tobytes() for variable in model.optimizer.variables]
    model.fit(*data, verbose=0, epochs=0)
    sensitivity(model, *data, sparsities=SPARSITIES, verbose=0)
    assert [
        (metric.name, metric.variables and [v.numpy().tobytes() for v in metric.variables]) for metric in model.metrics
    ] == metrics
    assert [variable.numpy().tobytes() for variable in model.optimizer.variables] == optimizer


def test_datasets_are_read_again_for_every_measurement(data):
    model = compiled()
    arrays = sensitivity(model, *data, sparsities=SPARSITIES, verbose=0)
    batches = sensitivity(model, Breaking(*data, reads=10**6), sparsities=SPARSITIES, verbose=0)
    for one, other in zip(arrays.layers, batches.layers, strict=True):
        np.testing.assert_allclose(one.values["loss"], other.values["loss"], rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="builds a tf.data.Dataset")
def test_an_endless_tf_dataset_is_read_for_some_steps(data):
    import tensorflow as tf

    model = compiled()
    endless = tf.data.Dataset.from_tensor_slices(data).batch(5).repeat()
    report = sensitivity(model, endless, steps=2, sparsities=SPARSITIES, verbose=0)
    arrays = sensitivity(model, *data, sparsities=SPARSITIES, verbose=0)
    np.testing.assert_allclose(report.layers[1].values["loss"], arrays.layers[1].values["loss"], rtol=1e-5)


def test_sparsities_are_sorted_and_taken_once():
    report = sensitivity(network(), measure=sums, sparsities=np.array([0.5, 0.0, 0.5]), targets=["body"], verbose=0)
    assert report.sparsities == (0.0, 0.5)
    assert report.layers[0].values["zeros"] == (0.0, 12.0)
    assert report.layers[0].values["sum"][0] == report.baseline["sum"]


def test_a_measure_may_return_a_tensor_or_a_number_of_numpy():
    for one in (np.float32(2.5), np.array(2.5), keras.ops.convert_to_tensor(2.5), 2.5):
        assert sensitivity(network(), measure=lambda _, one=one: one, sparsities=[0.5], verbose=0).baseline == {
            "measure": 2.5
        }


@pytest.mark.parametrize(("verbose", "shown"), [(0, False), (1, True), ("auto", True)])
def test_progress_counts_the_measurements(verbose, shown, capsys):
    sensitivity(network(), measure=sums, sparsities=SPARSITIES, verbose=verbose)
    printed = capsys.readouterr().out
    assert ("7/7" in printed) == shown
    assert bool(printed) == shown


REPORT = SensitivityReport(
    (0.5, 0.7, 0.9),
    {"accuracy": 0.98, "loss": 0.1},
    (
        LayerSensitivity("conv", "kernel", (3, 3, 1, 8), 72, {"accuracy": (0.9, 0.98, 0.2), "loss": (0.2, 0.1, 2.5)}),
        LayerSensitivity("head", "kernel", (30, 40), 1200, {"accuracy": (0.99, 0.97, 0.8), "loss": (0.1, 0.15, 0.4)}),
    ),
)


@pytest.mark.parametrize(
    ("drop", "metric", "conv", "head"),
    [
        (0.0, "accuracy", 0.0, 0.5),
        (0.01, "accuracy", 0.0, 0.7),  # 0.98 - 0.97 is above 0.01 in binary
        (0.08, "accuracy", 0.7, 0.7),
        (1.0, "accuracy", 0.9, 0.9),
        (0.05, None, 0.0, 0.7),
        (0.3, "loss", 0.7, 0.9),
    ],
)
def test_the_highest_sparsity_is_the_last_before_one_that_costs_more(drop, metric, conv, head):
    assert REPORT.highest_sparsities(drop, metric) == {"conv": conv, "head": head}


def test_the_mode_overrules_the_name():
    assert REPORT.highest_sparsities(0.0, "accuracy", mode="min") == {"conv": 0.9, "head": 0.0}


@pytest.mark.parametrize(
    ("name", "better"),
    [
        *((name, "higher") for name in ("acc", "sparse_top_k_categorical_accuracy", "AUC", "mean_io_u", "f1_score")),
        *((name, "higher") for name in ("r2_score", "cosine_similarity", "head_precision_1", "precision_at_recall")),
        *((name, "lower") for name in ("loss", "score_loss", "mean_squared_error", "kl_divergence", "logcosh_1")),
        *((name, "lower") for name in ("binary_crossentropy", "squared_hinge", "mae", "poisson")),
    ],
)
def test_names_tell_which_values_are_better(name, better):
    change = 1.0 if better == "higher" else -1.0
    row = LayerSensitivity("a", "kernel", (2, 2), 4, {name: (1.0 + change,)})
    worse = LayerSensitivity("b", "kernel", (2, 2), 4, {name: (1.0 - change,)})
    report = SensitivityReport((0.5,), {name: 1.0}, (row, worse))
    assert report.highest_sparsities(0.1) == {"a": 0.5, "b": 0.0}


def test_a_layer_gets_what_its_most_sensitive_weight_stands():
    rows = [LayerSensitivity("a", name, (2, 2), 4, {"loss": loss}) for name, loss in (("v", (0, 9)), ("w", (0, 0)))]
    assert SensitivityReport((0.5, 0.7), {"loss": 0.0}, tuple(rows)).highest_sparsities(1) == {"a": 0.5}
    rows.append(LayerSensitivity("a", "u", (2, 2), 4, {"loss": (9.0, 9.0)}))
    assert SensitivityReport((0.5, 0.7), {"loss": 0.0}, tuple(rows)).highest_sparsities(1) == {"a": 0.0}


def test_proposals_are_what_a_pruner_takes_as_overrides(data):
    model = compiled()
    report = sensitivity(model, *data, sparsities=SPARSITIES, verbose=0)
    head = LayerSensitivity("head", "kernel", (4, 2), 8, {"loss": (9e9, 9e9, 9e9)})
    proposed = dataclasses.replace(report, layers=(report.layers[0], head)).highest_sparsities(1e6)
    assert proposed == {"body": 0.75, "head": 0.0}
    prune(model, 0.5, overrides=proposed)
    assert [oracle.zeros(weight) for weight in model.get_weights()] == [18, 0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"drop": -0.1}, "drop must be a number in [0, inf); received drop=-0.1."),
        ({"drop": 0.1, "metric": "auc"}, "metric must be one of 'accuracy', 'loss'; received metric='auc'."),
        ({"drop": 0.1, "mode": "up"}, "mode must be one of 'auto', 'max', 'min'; received mode='up'."),
    ],
)
def test_a_proposal_that_can_not_be_made_is_refused(arguments, text):
    with pytest.raises(ValueError) as caught:
        REPORT.highest_sparsities(**arguments)
    assert str(caught.value).startswith(text)


def test_a_metric_whose_name_says_nothing_needs_a_mode():
    report = SensitivityReport((0.5,), {"measure": 1.0}, (LayerSensitivity("a", "w", (2,), 2, {"measure": (0.5,)}),))
    with pytest.raises(ValueError, match="mode must be 'min' or 'max' for the unknown metric 'measure'; received"):
        report.highest_sparsities(0.1)
    assert report.highest_sparsities(0.1, mode="max") == {"a": 0.0}
    assert report.highest_sparsities(0.1, mode="min") == {"a": 0.5}


def test_the_table_is_aligned_and_the_dict_is_json():
    assert str(REPORT).splitlines() == [
        "layer  weight  shape          size  metric    50 %  70 %  90 %",
        "conv   kernel  (3, 3, 1, 8)     72  accuracy   0.9  0.98   0.2",
        "                                    loss       0.2   0.1   2.5",
        "head   kernel  (30, 40)      1,200  accuracy  0.99  0.97   0.8",
        "                                    loss       0.1  0.15   0.4",
        "nothing pruned: accuracy 0.98, loss 0.1",
    ]
    read = json.loads(json.dumps(REPORT.to_dict()))
    assert read["sparsities"] == [0.5, 0.7, 0.9]
    assert read["baseline"] == {"accuracy": 0.98, "loss": 0.1}
    assert read["layers"][1] == {
        "path": "head",
        "weight": "kernel",
        "shape": [30, 40],
        "size": 1200,
        "values": {"accuracy": [0.99, 0.97, 0.8], "loss": [0.1, 0.15, 0.4]},
    }


def test_a_report_draws_itself_and_is_frozen():
    assert REPORT.plot(metric="accuracy", title="mine").get_title() == "mine"
    with pytest.raises(AttributeError):
        REPORT.sparsities = ()


X = np.ones((4, 6), "float32")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "model must be compiled to be evaluated; received model=an object of type keras."),
        ({"measure": 3}, "measure must be a callable model -> number or dict; received measure=3."),
        ({"measure": sums, "x": [1.0]}, "x must be None beside a measure, which reads data of its own; received x=[1"),
        ({"measure": sums, "batch_size": 8}, "batch_size must be None beside a measure"),
        ({"measure": sums, "sparsities": ()}, "sparsities must be one or more numbers in [0, 1); received spars"),
        ({"measure": sums, "sparsities": 0.5}, "sparsities must be one or more numbers in [0, 1); received spars"),
        ({"measure": sums, "sparsities": "0.5"}, "sparsities must be one or more numbers in [0, 1); received spars"),
        ({"measure": sums, "sparsities": (0.5, 1.0)}, "sparsities[1] must be a number in [0, 1); received sparsities"),
        ({"measure": sums, "sparsities": (-0.1,)}, "sparsities[0] must be a number in [0, 1); received sparsities"),
        ({"measure": sums, "pattern": "nm"}, "sparsities must be at most the pattern's 0.5; received sparsities=(0.5,"),
        ({"measure": sums, "pattern": "blok"}, "pattern must be an object or one of"),
        ({"measure": sums, "criterion": 3}, "criterion must be a callable variable -> scores"),
        ({"measure": sums, "targets": ["tail"]}, "targets "),
        ({"measure": sums, "verbose": 3}, "verbose must be 0, 1 or 'auto'; received verbose=3. Pass 0 for silence."),
    ],
)
def test_what_can_not_be_measured_is_refused_before_anything_is_measured(arguments, text):
    measured = []
    if arguments.get("measure") is sums:
        arguments = {**arguments, "measure": measured.append}
    with pytest.raises(ValueError) as caught:
        sensitivity(network(), **arguments)
    assert str(caught.value).startswith(text)
    assert not measured


def test_a_pattern_that_does_not_fit_a_weight_is_refused_before_anything_is_measured():
    measured = []
    with pytest.raises(ValueError, match="pattern does not fit head/kernel: columns must divide the 2 outputs"):
        sensitivity(network(), measure=measured.append, pattern="block")
    assert not measured


def test_data_that_can_not_be_evaluated_on_are_refused():
    with pytest.raises(ValueError, match="x must be data to evaluate on; received x=None. Pass arrays or a dataset"):
        sensitivity(compiled())
    with pytest.raises(ValueError, match="x must be data that can be read again and again, not an iterator; received"):
        sensitivity(compiled(), iter([(X, X[:, :2])]))


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ([np.nan], "measure must return finite numbers; received measure=nan with nothing pruned. Pass a measure"),
        (
            [1.0, np.inf],
            "measure must return finite numbers; received measure=inf with body/kernel at a sparsity of 0.",
        ),
        ([{"f1": None}], "measure must return finite numbers; received f1=None with nothing pruned."),
        ([True], "measure must return finite numbers; received measure=True with nothing pruned."),
        (["0.5"], "measure must return finite numbers; received measure='0.5' with nothing pruned."),
        ([np.ones(3)], "measure must return finite numbers; received measure=an object of type numpy.ndarray with"),
        ([{}], "measure must return a number, or a dict from names to numbers; received {} with nothing pruned."),
        ([{1: 2.0}], "measure must return a number, or a dict from names to numbers; received {1: 2.0} with nothing"),
        (
            [{"a": 1.0}, {"b": 1.0}],
            "measure must return the names ['a'] again; received {'b': 1.0} with body/kernel at",
        ),
        ([{"a": 1.0}, 1.0], "measure must return the names ['a'] again; received 1.0 with body/kernel at a sparsity"),
    ],
)
def test_a_measure_must_return_the_same_finite_numbers(results, text):
    model = network()
    before = state_of(model)
    left = iter(results)
    with pytest.raises(ValueError) as caught:
        sensitivity(model, measure=lambda _: next(left), verbose=0)
    assert str(caught.value).startswith(text)
    assert state_of(model) == before


def test_an_evaluation_that_gives_nan_is_refused(data):
    x, y = data
    with pytest.raises(ValueError, match="model.evaluate must return finite numbers; received loss=nan with nothing"):
        sensitivity(compiled(), x, y * np.nan, verbose=0)
