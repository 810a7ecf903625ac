"""`Pruning` in real fits: after every step the zeros are those the schedule asks for, to one weight."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops
from oracles.pruning import polynomial, zeros

import keras_arch.callbacks
from keras_arch import compression

pytestmark = pytest.mark.backend
BACKEND = keras.backend.backend()
tensorflow_only = pytest.mark.skipif(BACKEND != "tensorflow", reason="this way of training exists in TensorFlow only")
Pruning = keras_arch.callbacks.Pruning
BATCHES, BATCH = 10, 4
SCHEDULE = compression.PolynomialSchedule(0.1, 0.8, begin_step=3, end_step=16, every=3)


def data(rows=BATCHES * BATCH):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 5, 5, 1)).astype("float32"), rng.integers(0, 3, size=rows)


def network(head="glorot_uniform", constraint=None, dtype=None):
    return keras.Sequential(
        [
            keras.Input((5, 5, 1)),
            layers.Conv2D(3, 3, name="conv", dtype=dtype),
            layers.Flatten(),
            layers.Dense(7, activation="tanh", name="body", kernel_constraint=constraint, dtype=dtype),
            layers.Dense(3, name="head", kernel_initializer=head, dtype=dtype),
        ]
    )


def build(model=None, optimizer=None, **settings):
    model = network() if model is None else model
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.05, momentum=0.9), loss, **settings)
    return model


def kernels(model):
    """What is pruned by default: factors of LoRA are not, their product would be dense."""
    return [weight for weight in model.trainable_variables if len(weight.shape) >= 2 and "lora" not in weight.name]


def counts(model):
    return [zeros(kernel.numpy()) for kernel in kernels(model)]


def iterations(model):
    return int(ops.convert_to_numpy(model.optimizer.iterations + 0))


def expected(model, step):
    s = SCHEDULE
    held = polynomial(step, s.initial_sparsity, s.final_sparsity, s.begin_step, s.end_step, s.power, s.every)
    return [round((held or 0.0) * int(np.prod(kernel.shape))) for kernel in kernels(model)]


class Recorder(keras.callbacks.Callback):
    """Counts the zeros that a user sees after each batch."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def on_train_batch_end(self, batch, logs=None):
        model = self.model
        self.seen[iterations(model)] = counts(model)


def fit(model, *callbacks, epochs=2, **settings):
    x, y = data()
    return model.fit(
        x, y, **({"batch_size": BATCH, "epochs": epochs, "verbose": 0, "callbacks": [*callbacks]} | settings)
    )


def plain():
    return build()


def compiled():
    return build(jit_compile=True)


def eager():
    return build(run_eagerly=True)


def eight_steps_an_execution():
    return build(steps_per_execution=8)


def float16_with_steps_that_are_skipped():
    sgd = keras.optimizers.SGD(0.05)
    optimizer = keras.optimizers.LossScaleOptimizer(sgd, initial_scale=2.0**17, dynamic_growth_steps=2)
    return build(network(dtype="mixed_float16"), optimizer)


def bfloat16():
    return build(network(dtype="mixed_bfloat16"))


def moving_average():
    return build(optimizer=keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))


def moving_average_written_back():
    return build(optimizer=keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=4))


def accumulated_gradients():
    return build(optimizer=keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))


def several_optimizers():
    parts = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1))
    parts[".*body.*"] = keras.optimizers.Adam(0.01, use_ema=True)
    return build(optimizer=keras.optimizers.MultiOptimizer(parts))


def fitted_before():
    model = build()
    fit(model, epochs=1)
    model.optimizer.iterations.assign(0)
    return model


def zero_kernels():
    return build(network(head="zeros"))


def kernels_clipped_to_zero():
    return build(network(constraint="non_neg"))


def decaying_weights():
    return build(optimizer=keras.optimizers.AdamW(0.01, weight_decay=0.5))


def shared_weights():
    inputs = keras.Input((5, 5, 1))
    shared = layers.Dense(5, name="shared")
    hidden = shared(shared(inputs[..., 0]))
    return build(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(hidden))))


def low_rank_factors():
    model = network()
    model.get_layer("body").enable_lora(2)  # freezes the kernel
    return build(model)


CASES = [
    plain,
    compiled,
    eager,
    eight_steps_an_execution,
    float16_with_steps_that_are_skipped,
    bfloat16,
    moving_average,
    moving_average_written_back,
    accumulated_gradients,
    several_optimizers,
    fitted_before,
    zero_kernels,
    kernels_clipped_to_zero,
    decaying_weights,
    shared_weights,
    low_rank_factors,
]
SLOW = (accumulated_gradients, float16_with_steps_that_are_skipped)
NOT_TORCH = (compiled, eight_steps_an_execution, float16_with_steps_that_are_skipped)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_after_every_batch_the_zeros_are_the_schedules(case):
    if BACKEND == "torch" and case in NOT_TORCH:
        pytest.skip("Keras has neither steps_per_execution nor float16 on the CPU with PyTorch, and compiles by dynamo")
    if BACKEND == "jax" and case is float16_with_steps_that_are_skipped:
        pytest.skip("masks are early by the steps that loss scaling skips, on JAX (documented)")
    model, recorder, pruning = case(), Recorder(), Pruning(SCHEDULE)
    fit(model, pruning, recorder, epochs=4 if case in SLOW else 2)
    for step, seen in recorder.seen.items():
        assert seen == expected(model, step), f"after step {step}"
    assert iterations(model) > SCHEDULE.end_step
    assert counts(model) == expected(model, SCHEDULE.end_step)
    assert pruning.report().zeros == sum(counts(model))


@tensorflow_only
def test_inside_an_execution_of_eight_steps_every_step_is_exact():
    class Watched(keras.Model):
        """Counts zeros inside the compiled step."""

        def __init__(self, **settings):
            super().__init__(**settings)
            self.log = self.add_weight(shape=(64, 3), initializer="zeros", trainable=False, dtype="int32")

        def train_step(self, data):
            result = super().train_step(data)
            found = ops.stack([ops.sum(ops.cast(ops.equal(kernel, 0), "int32")) for kernel in kernels(self)])
            start = ops.stack([ops.cast(self.optimizer.iterations, "int32"), 0])
            self.log.assign(ops.slice_update(self.log, start, found[None]))
            return result

    stock = network()
    model = build(Watched(inputs=stock.inputs, outputs=stock.outputs), steps_per_execution=8)
    fit(model, Pruning(SCHEDULE))
    for step, seen in enumerate(model.log.numpy()[1:21].tolist(), start=1):
        assert seen == expected(model, step), f"after step {step}"


def test_beside_low_rank_factors_a_frozen_kernel_and_the_factors_stay_dense():
    model = low_rank_factors()
    body = model.get_layer("body")
    before = np.array(ops.convert_to_numpy(body._kernel))
    fit(model, Pruning(SCHEDULE))
    np.testing.assert_array_equal(ops.convert_to_numpy(body._kernel), before)
    assert zeros(ops.convert_to_numpy(body.lora_kernel_a)) == zeros(ops.convert_to_numpy(body.lora_kernel_b)) == 0
    assert len(kernels(model)) == 2


def test_what_is_kept_trains_on():
    model = build(network(head="zeros"))
    fit(model, Pruning(compression.ConstantSchedule(0.5)))
    head = model.get_layer("head").kernel.numpy()
    assert zeros(head) == 10  # round(10.5), the even one
    assert np.abs(head).max() > 1e-3


def test_after_fit_a_kept_zero_is_exactly_zero_again():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    model.fit(np.zeros((8, 4)), np.ones((8, 3)), verbose=0, callbacks=[Pruning(compression.ConstantSchedule(0.5))])
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), 0)


def test_before_the_first_step_of_the_schedule_training_is_as_without():
    schedule = compression.ConstantSchedule(0.5, begin_step=1000)
    one, other = build(), build()
    other.set_weights(one.get_weights())
    fit(one, Pruning(schedule), shuffle=False)
    fit(other, shuffle=False)
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_fit_then_pruned_fit_then_fit():
    model, pruning = build(), Pruning(SCHEDULE)
    fit(model)
    assert sum(counts(model)) == 0
    model.optimizer.iterations.assign(0)
    fit(model, pruning)
    assert counts(model) == expected(model, SCHEDULE.end_step)
    fit(model)
    assert sum(counts(model)) < 20
    assert "apply" not in vars(model.optimizer)


def test_a_fit_that_goes_on_takes_up_the_schedule_where_it_was():
    model, recorder = build(), Recorder()
    fit(model, Pruning(SCHEDULE), recorder, epochs=1)
    fit(model, Pruning(SCHEDULE), recorder, epochs=1)
    assert sorted(recorder.seen) == list(range(1, 21))
    for step, seen in recorder.seen.items():
        assert seen == expected(model, step), f"after step {step}"


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
        fit(model, Pruning(SCHEDULE), Stop(error))
    assert "apply" not in vars(model.optimizer)
    pruned = counts(model)
    assert pruned == expected(model, 7)
    x, y = data()
    model.train_on_batch(x[:BATCH], y[:BATCH])
    assert "GuardedStep" not in type(model.train_function).__name__
    assert sum(counts(model)) < sum(pruned)


def test_two_models_and_two_callbacks_on_one_model():
    models = [build(), build()]
    for model, sparsity in zip(models, (0.5, 0.75), strict=True):
        fit(model, Pruning(compression.ConstantSchedule(sparsity)), epochs=1)
    assert [compression.sparsity_report(model, ["conv"]).zeros for model in models] == [14, 20]
    conv = Pruning(compression.ConstantSchedule(0.5), targets=["conv"])
    rest = Pruning(compression.ConstantSchedule(0.75), targets=["body", "head"])
    model = build()
    fit(model, conv, rest)
    assert counts(model) == [14, 142, 16]
    fit(model, epochs=1)
    assert sum(counts(model)) < 10


MIRRORED = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np, tensorflow as tf
from keras_arch.callbacks import Pruning
from keras_arch.compression import PolynomialSchedule
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(10)])
    model.compile(keras.optimizers.Adam(0.01, use_ema=True), "mse")
schedule = PolynomialSchedule(0.1, 0.8, 2, 11, every=3)
class Check(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        step = int(model.optimizer.iterations.numpy())
        replicas = [int((copy.numpy() == 0).sum()) for copy in model.layers[0].kernel.value.values]
        assert replicas == [round(60 * schedule(step)[1])] * 2, (step, replicas)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(60, 6)), rng.normal(size=(60, 10))
model.fit(x, y, batch_size=4, verbose=0, callbacks=[Pruning(schedule), Check()])
assert int((model.get_weights()[0] == 0).sum()) == 48
"""


@pytest.mark.slow
@tensorflow_only
def test_two_replicas_of_a_mirrored_model_have_the_same_zeros():
    # A process of its own: logical devices are set before TensorFlow starts.
    done = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_other_callbacks_that_set_weights(tmp_path):
    model, recorder = build(), Recorder()
    best = keras.callbacks.EarlyStopping("loss", patience=5, restore_best_weights=True, start_from_epoch=1)
    saved = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    fit(model, Pruning(SCHEDULE), best, saved, recorder, epochs=3)
    assert counts(model) == expected(model, SCHEDULE.end_step)
    for epoch in (1, 2, 3):
        assert counts(keras.saving.load_model(tmp_path / f"{epoch}.keras")) == expected(model, epoch * BATCHES)


def test_validation_on_swapped_moving_averages_is_sparse():
    class Validation(keras.callbacks.Callback):
        seen = ()

        def on_test_batch_begin(self, batch, logs=None):
            self.seen = [*self.seen, counts(self.model)]

    model, validation = moving_average(), Validation()
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    fit(model, Pruning(SCHEDULE), swap, validation, validation_data=data(4), epochs=3)
    assert validation.seen == [expected(model, step) for step in (10, 20, 30)]
    assert counts(model) == expected(model, SCHEDULE.end_step)


def test_training_that_was_killed_goes_on_from_its_backup(tmp_path):
    model, backup = build(), keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        fit(model, Pruning(SCHEDULE), backup, StopInEpoch(1), epochs=3)
    again, recorder = build(), Recorder()
    fit(again, Pruning(SCHEDULE), keras.callbacks.BackupAndRestore(tmp_path / "backup"), recorder, epochs=3)
    assert sorted(recorder.seen) == list(range(11, 31))
    for step, seen in recorder.seen.items():
        assert seen == expected(again, step), f"after step {step}"


class StopInEpoch(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


# Keras warns when a generator ends, which is how it learns the length of an epoch.
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_the_model_of_a_subclass_and_unknown_epoch_length():
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

    model, pruning, recorder = build(Plain()), Pruning(SCHEDULE), Recorder()
    model.fit(batches(), epochs=1, verbose=0, shuffle=False, callbacks=[pruning, recorder])
    assert [layer.path for layer in pruning.report().layers] == ["first", "last"]
    assert len(recorder.seen) == BATCHES
    for step, seen in recorder.seen.items():
        assert seen == expected(model, step), f"after step {step}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": 0.5}, "schedule must be a callable"),
        ({"schedule": compression.ConstantSchedule}, "schedule must be a callable"),
        ({"criterion": "magnitud"}, "Did you mean 'magnitude'"),
        ({"criterion": 3}, "criterion must be a callable"),
        ({"pattern": object()}, "pattern must have the methods"),
        ({"scope": "model"}, "scope must be one of 'global', 'layer'"),
    ],
)
def test_bad_arguments_raise_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        Pruning(**({"schedule": SCHEDULE} | arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": ["stem"]}, "targets must name a layer"),
        ({"targets": lambda path, variable: False}, r"trainable weights are: conv/kernel \(3, 3, 1, 3\)"),
        ({"criterion": lambda variable: ops.sum(variable)}, "one score for each weight"),
        ({"criterion": lambda variable: variable * float("nan")}, "received NaN for conv/kernel"),
        ({"schedule": lambda step: 0.5}, "must return .update_now, sparsity"),
        ({"schedule": lambda step: (True, 1.0)}, r"sparsity in \[0, 1\); received sparsity=1.0 at step 1"),
    ],
)
def test_bad_arguments_raise_before_the_first_step_and_leave_the_weights(arguments, message):
    model = build()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        fit(model, Pruning(**({"schedule": SCHEDULE} | arguments)))
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_schedule_that_breaks_in_mid_fit_leaves_whole_masks():
    model = build()
    with pytest.raises(ValueError, match="at step 7"):
        fit(model, Pruning(lambda step: (True, 0.5 if step < 7 else 2.0)))
    assert counts(model) == [14, 94, 10]
    assert "apply" not in vars(model.optimizer)


def test_a_training_step_without_the_compiled_optimizer_is_refused():
    class Elsewhere(keras.Sequential):
        def train_step(self, *state_and_data):
            state = state_and_data[0]
            return ({}, state) if BACKEND == "jax" else {"loss": ops.zeros(())}

    with pytest.raises(RuntimeError, match="train_step never called"):
        fit(build(Elsewhere(network().layers)), Pruning(SCHEDULE))


def test_report_before_a_fit_is_refused():
    with pytest.raises(ValueError, match="has not been in a fit"):
        Pruning(SCHEDULE).report()


@tensorflow_only
def test_every_epoch_is_written_for_tensorboard(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    model = build()
    fit(model, Pruning(SCHEDULE, log_dir=tmp_path), epochs=3)
    events = event_accumulator.EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    written = {tag: events.Tensors(tag) for tag in events.Tags()["tensors"]}
    assert [event.step for event in written["sparsity"]] == [10, 20, 30]
    last = np.frombuffer(written["sparsity"][-1].tensor_proto.tensor_content, "float32")
    np.testing.assert_allclose(last, [22 / 27, 151 / 189, 17 / 21], atol=1e-6)
    assert {"sparsity/total", "sparsity/target"} <= set(written)
