"""`Clustering` in real fits: after every step each kernel has at most as many values as were asked for."""

import keras
import numpy as np
import pytest
from callbacks.pruning_cases import (
    BATCH,
    BATCHES,
    CASES,
    NOT_TORCH,
    accumulated_gradients,
    build,
    compiled,
    data,
    fit,
    iterations,
    kernels,
    kernels_clipped_to_zero,
    moving_average,
    plain,
    zero_kernels,
)
from keras import layers, ops
from oracles.clustering import distinct, joined
from tensorboard.util.tensor_util import make_ndarray

import keras_arch.callbacks
from keras_arch import compression

pytestmark = pytest.mark.backend
BACKEND = keras.backend.backend()
Clustering, Pruning = keras_arch.callbacks.Clustering, keras_arch.callbacks.Pruning
CLUSTERS = 8
# Kernels that hold fewer values than that because they began so, or were clipped.
FEWER = (zero_kernels, kernels_clipped_to_zero)
WITH_ZEROS = (plain, compiled, moving_average, accumulated_gradients, kernels_clipped_to_zero)


def numbers(variable):
    return ops.convert_to_numpy(ops.cast(variable, "float32"))


def counts(model):
    return [distinct(numbers(kernel)) for kernel in kernels(model)]


class Recorder(keras.callbacks.Callback):
    """Counts the values of the kernels that a user sees after each batch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(counts(self.model))


@pytest.mark.parametrize(
    ("case", "preserve_zeros"),
    [(case, False) for case in CASES] + [(case, True) for case in WITH_ZEROS],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_after_every_batch_the_values_are_few(case, preserve_zeros):
    if BACKEND == "torch" and case in NOT_TORCH:
        pytest.skip("Keras has neither steps_per_execution nor float16 on the CPU with PyTorch, and compiles by dynamo")
    model, recorder = case(), Recorder()
    before, first = [numbers(kernel).copy() for kernel in kernels(model)], iterations(model)
    clustering = Clustering(CLUSTERS, preserve_zeros=preserve_zeros, gradient="mean")
    fit(model, clustering, recorder)
    assert iterations(model) > first
    assert max(max(seen) for seen in recorder.seen) <= CLUSTERS
    if case not in FEWER:
        assert recorder.seen == [[CLUSTERS - preserve_zeros] * len(before)] * len(recorder.seen)
        assert all(np.abs(numbers(k) - old).max() > 1e-3 for k, old in zip(kernels(model), before, strict=True))
    assert [row.values for row in clustering.report().layers] == counts(model)
    assert "apply" not in vars(model.optimizer)
    assert "GuardedStep" not in type(model.train_function).__name__


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow writes to variables of others inside a step")
def test_inside_an_execution_of_eight_steps_the_values_are_few():
    log = keras.Variable(np.zeros((64, 3)), dtype="int32", trainable=False)
    model = build(steps_per_execution=8)
    train_step = model.train_step

    def counting_step(data):
        """Counts values inside the compiled execution."""
        result = train_step(data)
        ordered = [ops.sort(ops.reshape(kernel, (-1,))) for kernel in kernels(model)]
        found = ops.stack([1 + ops.sum(ops.cast(ops.not_equal(x[1:], x[:-1]), "int32")) for x in ordered])
        log.assign(ops.slice_update(log, ops.stack([ops.cast(model.optimizer.iterations, "int32"), 0]), found[None]))
        return result

    model.train_step = counting_step
    fit(model, Clustering(CLUSTERS, gradient="mean"))
    np.testing.assert_array_equal(log.numpy()[1:21], CLUSTERS)


@pytest.mark.parametrize("gradient", ["sum", "mean"])
def test_the_values_are_trained_as_a_loop_in_numpy_trains_them(gradient, rng):
    # f(W) = mean (x W − y)² on whole batches: dW = 2 x'(x W − y) / (B outputs), c ← c − 0.1 (sum or mean over members).
    x, y = rng.normal(size=(16, 6)).astype("float32"), rng.normal(size=(16, 4)).astype("float32")
    layer = layers.Dense(4, use_bias=False)
    model = build(keras.Sequential([keras.Input((6,)), layer]), keras.optimizers.SGD(0.02))
    model.compile(model.optimizer, "mse")
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    compression.cluster(twin, 5)
    weight = twin.get_weights()[0].astype("float64")
    index = np.searchsorted(np.unique(weight), weight)
    model.fit(x, y, batch_size=16, epochs=7, verbose=0, callbacks=[Clustering(5, gradient=gradient)])
    for _ in range(7):
        weight = weight - 0.02 * joined(2 * x.T @ (x @ weight - y) / 64, index, mean=gradient == "mean")
    np.testing.assert_allclose(layer.kernel.numpy(), weight, rtol=1e-4, atol=1e-6)


def test_before_its_epoch_training_is_as_without():
    one, other = build(), build()
    other.set_weights(one.get_weights())
    fit(one, Clustering(CLUSTERS, begin_epoch=2), shuffle=False)
    fit(other, shuffle=False)
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_it_begins_with_its_epoch_and_layers_may_have_clusters_of_their_own():
    model, recorder = build(), Recorder()
    fit(model, Clustering(CLUSTERS, begin_epoch=1, overrides={"conv": 3}, gradient="mean"), recorder, epochs=3)
    assert all(seen[1] > 100 for seen in recorder.seen[:BATCHES])
    assert recorder.seen[BATCHES:] == [[3, CLUSTERS, CLUSTERS]] * (2 * BATCHES)


def test_another_fit_goes_on_with_the_clusters_and_one_without_takes_them_apart():
    class Memory(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.first = getattr(self, "first", None) or [numbers(kernel).copy() for kernel in kernels(self.model)]

    model, memory, clustering = build(), Memory(), Clustering(CLUSTERS, gradient="mean")
    fit(model, clustering)
    before = [numbers(kernel).copy() for kernel in kernels(model)]
    fit(model, clustering, memory)
    for left, right in zip(before, memory.first, strict=True):
        np.testing.assert_array_equal(left, right)
    assert counts(model) == [CLUSTERS] * 3
    fit(model)
    assert min(counts(model)) > CLUSTERS


class Stop(keras.callbacks.Callback):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def on_train_batch_end(self, batch, logs=None):
        if batch == 6:
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()], ids=["exception", "ctrl-c"])
def test_an_exception_leaves_a_stock_optimizer_and_a_stock_step(error):
    model = build()
    with pytest.raises(type(error)):
        fit(model, Clustering(CLUSTERS, gradient="mean"), Stop(error))
    assert "apply" not in vars(model.optimizer)
    assert counts(model) == [CLUSTERS] * 3
    x, y = data()
    model.train_on_batch(x[:BATCH], y[:BATCH])
    assert "GuardedStep" not in type(model.train_function).__name__
    assert min(counts(model)) > CLUSTERS


def test_a_fit_after_one_that_was_cut_short():
    model, recorder, clustering = build(), Recorder(), Clustering(CLUSTERS, gradient="mean")
    with pytest.raises(RuntimeError):
        fit(model, clustering, Stop(RuntimeError("stop")))
    fit(model, clustering, recorder)
    assert recorder.seen == [[CLUSTERS] * 3] * (2 * BATCHES)


@pytest.mark.parametrize("first", [True, False], ids=["pruning first", "clustering first"])
def test_zeros_of_pruning_in_the_same_fit_are_kept_by_both(first):
    schedule = compression.PolynomialSchedule(0.1, 0.6, begin_step=3, end_step=16, every=3)
    clustering = Clustering(CLUSTERS, preserve_zeros=True, gradient="mean")
    both = [Pruning(schedule), clustering] if first else [clustering, Pruning(schedule)]
    model, recorder = build(), Recorder()
    fit(model, *both, recorder)
    assert max(max(seen) for seen in recorder.seen) <= CLUSTERS
    sizes = [27, 189, 21]
    zeros = [int((numbers(kernel) == 0).sum()) for kernel in kernels(model)]
    # A cluster whose value is 0 adds to the zeros of the schedule; none does here.
    assert zeros == [round(0.6 * size) for size in sizes]


def test_the_zeros_of_a_pruned_model_are_kept():
    model = build()
    compression.prune(model, 0.5)
    gone = [numbers(kernel) == 0 for kernel in kernels(model)]
    fit(model, Clustering(CLUSTERS, preserve_zeros=True, gradient="mean"))
    for kernel, zero in zip(kernels(model), gone, strict=True):
        np.testing.assert_array_equal(numbers(kernel) == 0, zero)
    assert counts(model) == [CLUSTERS] * 3


def test_the_file_is_a_stock_model_with_few_values(tmp_path):
    model = build()
    fit(model, Clustering(CLUSTERS, gradient="mean"))
    model.save(tmp_path / "clustered.keras")
    again = keras.saving.load_model(tmp_path / "clustered.keras")
    assert counts(again) == [CLUSTERS] * 3
    assert [type(layer).__module__.split(".")[0] for layer in again.layers] == ["keras"] * 4
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


def test_validation_and_files_see_clustered_moving_averages(tmp_path):
    class Validation(keras.callbacks.Callback):
        seen = ()

        def on_test_batch_begin(self, batch, logs=None):
            self.seen = [*self.seen, counts(self.model)]

    model, validation = moving_average(), Validation()
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    fit(model, Clustering(CLUSTERS), swap, validation, validation_data=data(4))
    assert validation.seen == [[CLUSTERS] * 3] * 2
    assert counts(model) == [CLUSTERS] * 3


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_the_model_of_a_subclass_is_built_by_its_first_step():
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(6, name="first"), layers.Dense(3, name="last")

        def call(self, inputs):
            return self.last(self.first(ops.reshape(inputs, (-1, 25))))

    def batches():
        x, y = data()
        for start in range(0, len(x), BATCH):
            yield x[start : start + BATCH], y[start : start + BATCH]

    model, clustering, recorder = build(Plain()), Clustering(CLUSTERS, gradient="mean"), Recorder()
    model.fit(batches(), epochs=1, verbose=0, shuffle=False, callbacks=[clustering, recorder])
    assert [layer.path for layer in clustering.report().layers] == ["first", "last"]
    assert recorder.seen == [[CLUSTERS] * 2] * BATCHES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clusters": 1}, "clusters must be an integer >= 2"),
        ({"centroids": "linaer"}, "Did you mean 'linear'"),
        ({"begin_epoch": -1}, "begin_epoch must be an integer >= 0"),
        ({"gradient": "max"}, "gradient must be one of 'mean', 'sum'"),
    ],
)
def test_bad_arguments_raise_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        Clustering(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clusters": 22}, "received 22 for the 21 weights of head/kernel"),
        ({"targets": ["stem"], "begin_epoch": 9}, "targets must name a layer"),
        ({"targets": lambda path, variable: False}, "targets must match at least one trainable weight"),
        ({"overrides": {"stem": 4}, "begin_epoch": 9}, "overrides must name a layer"),
        ({"centroids": lambda values, clusters: [np.nan]}, "finite: False"),
    ],
)
def test_bad_arguments_raise_before_the_first_step_and_leave_the_weights(arguments, message):
    model = build()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        fit(model, Clustering(**({"clusters": CLUSTERS} | arguments)))
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_report_before_a_fit_is_refused():
    with pytest.raises(ValueError, match="has not been in a fit"):
        Clustering().report()


def test_every_epoch_is_written_for_tensorboard(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    model = build()
    clustering = Clustering(CLUSTERS, begin_epoch=1, overrides={"head": 5}, gradient="mean", log_dir=tmp_path)
    fit(model, clustering)
    events = event_accumulator.EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    found = {
        tag: {event.step: make_ndarray(event.tensor_proto).tolist() for event in events.Tensors(tag)}
        for tag in events.Tags()["tensors"]
    }
    assert found["clusters/values"][20] == [8, 8, 5]
    assert found["clusters/bits"][20] == [3, 3, 3]
    assert min(found["clusters/values"][10]) > 20
    assert found["bytes/raw"] == {10: 1000, 20: 1000}
    assert found["bytes/coded"][20] == clustering.report().bytes_coded
