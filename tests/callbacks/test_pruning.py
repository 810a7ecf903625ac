"""`Pruning` in real fits: after every step the zeros are those the schedule asks for, to one weight."""

import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from callbacks.pruning_cases import (
    BATCH,
    BATCHES,
    FEW,
    NETWORKS,
    NOT_TORCH,
    SCHEDULE,
    SLOW,
    TABLE,
    Recorder,
    build,
    counts,
    data,
    eight_steps_an_execution,
    expected,
    fit,
    float16_with_steps_that_are_skipped,
    iterations,
    kernels,
    low_rank_factors,
    masked_weights,
    moving_average,
    network,
)
from keras import layers, ops
from oracles.pruning import zeros
from tensorboard.util.tensor_util import make_ndarray

import keras_arch.callbacks
from keras_arch import compression

pytestmark = pytest.mark.backend
BACKEND = keras.backend.backend()
tensorflow_only = pytest.mark.skipif(BACKEND != "tensorflow", reason="this way of training exists in TensorFlow only")
Pruning = keras_arch.callbacks.Pruning


@pytest.mark.parametrize(("pattern", "case"), TABLE, ids=lambda part: getattr(part, "__name__", part))
def test_after_every_batch_the_zeros_are_the_schedules(pattern, case):
    if BACKEND == "torch" and case in NOT_TORCH:
        pytest.skip("Keras has neither steps_per_execution nor float16 on the CPU with PyTorch, and compiles by dynamo")
    if BACKEND == "jax" and case is float16_with_steps_that_are_skipped:
        pytest.skip("masks are early by the steps that loss scaling skips, on JAX (documented)")
    if BACKEND == "jax" and pattern == "channel" and case not in FEW:
        pytest.skip("a few rows tell on JAX whether a compiled step carries what goes along")
    model = case() if pattern == "unstructured" else case(NETWORKS[pattern])
    recorder, pruning = Recorder(pattern), Pruning(SCHEDULE, pattern=pattern)
    fit(model, pruning, recorder, epochs=4 if case in SLOW else 2)
    last = iterations(model)
    assert last > SCHEDULE.end_step
    assert not recorder.differences(model, None if case is eight_steps_an_execution else range(1, last + 1))
    assert counts(model, pattern) == expected(model, SCHEDULE.end_step, pattern)
    reported = [zeros(weight.numpy()) for weight in masked_weights(model, pattern) if len(weight.shape) >= 2]
    assert [row.zeros for row in pruning.report().layers] == reported


@tensorflow_only
@pytest.mark.parametrize("pattern", NETWORKS)
def test_inside_an_execution_of_eight_steps_every_step_is_exact(pattern):
    log = keras.Variable(np.zeros((64, 6)), dtype="int32", trainable=False)
    model = build(NETWORKS[pattern](), steps_per_execution=8)
    weights, train_step = masked_weights(model, pattern), model.train_step

    def counting_step(data):
        """Counts zeros inside the compiled execution."""
        result = train_step(data)
        found = ops.stack([ops.sum(ops.cast(ops.equal(weight, 0), "int32")) for weight in weights])
        start = ops.stack([ops.cast(model.optimizer.iterations, "int32"), 0])
        log.assign(ops.slice_update(log, start, found[None]))
        return result

    model.train_step = counting_step
    fit(model, Pruning(SCHEDULE, pattern=pattern))
    for step, seen in enumerate(log.numpy()[1:21].tolist(), start=1):
        assert seen[: len(weights)] == expected(model, step, pattern), f"after step {step}"


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
    model, recorder = build(), Recorder()
    fit(model)
    assert sum(counts(model)) == 0
    model.optimizer.iterations.assign(0)
    fit(model, Pruning(SCHEDULE), recorder)
    assert not recorder.differences(model, range(1, 21))
    assert counts(model) == expected(model, SCHEDULE.end_step)
    fit(model)
    assert sum(counts(model)) < 20
    assert "apply" not in vars(model.optimizer)


def test_a_fit_that_goes_on_takes_up_the_schedule_where_it_was():
    model, recorder = build(), Recorder()
    fit(model, Pruning(SCHEDULE), recorder, epochs=1)
    fit(model, Pruning(SCHEDULE), recorder, epochs=1)
    assert not recorder.differences(model, range(1, 21))


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


def test_two_models_in_turn_keep_to_schedules_of_their_own():
    other = compression.PolynomialSchedule(0.2, 0.6, begin_step=1, end_step=14, every=2)
    models, recorders = [build(), build()], [Recorder(), Recorder()]
    callbacks = [Pruning(SCHEDULE), Pruning(other)]
    for _ in range(2):
        for model, pruning, recorder in zip(models, callbacks, recorders, strict=True):
            fit(model, pruning, recorder, epochs=1)
    for model, schedule, recorder in zip(models, (SCHEDULE, other), recorders, strict=True):
        assert not recorder.differences(model, range(1, 21), schedule)


def test_two_callbacks_on_one_model():
    conv = Pruning(compression.ConstantSchedule(0.5), targets=["conv"])
    rest = Pruning(compression.ConstantSchedule(0.75), targets=["body", "head"])
    model, recorder = build(), Recorder()
    fit(model, conv, rest, recorder)
    assert [seen for _, seen in recorder.seen] == [[14, 142, 16]] * 20
    fit(model, epochs=1)
    assert sum(counts(model)) < 10


MIRRORED = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np, tensorflow as tf
from keras_arch.callbacks import Pruning
from keras_arch.compression import PolynomialSchedule
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
def check(pattern, log_dir):
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        layers = [keras.layers.Dense(10), keras.layers.BatchNormalization(), keras.layers.Dense(4)]
        model = keras.Sequential([keras.Input((6,)), *layers])
        model.compile(keras.optimizers.Adam(0.01, use_ema=True), "mse")
    dense, norm, _ = layers
    weights = [dense.kernel] if pattern == "unstructured" else [dense.kernel, dense.bias, norm.gamma, norm.beta]
    schedule = PolynomialSchedule(0.1, 0.8, 2, 11, every=3)
    seen = []
    class Check(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            step = int(model.optimizer.iterations.numpy())
            share = schedule(step)[1]
            for weight in weights:
                size = 10 if len(weight.shape) == 1 else 60
                whole = round(share * 60) if pattern == "unstructured" else round(share * 10) * size // 10
                replicas = [copy.numpy() == 0 for copy in weight.value.values]
                assert [int(gone.sum()) for gone in replicas] == [whole] * 2, (pattern, step, weight.path)
                if pattern == "channel":
                    dead = (weights[0].numpy() == 0).all(axis=0)
                    assert all((gone == dead).all() for gone in replicas), (step, weight.path)
            seen.append(step)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 6)), rng.normal(size=(60, 4))
    pruning = Pruning(schedule, pattern=pattern, log_dir=log_dir)
    model.fit(x, y, batch_size=4, verbose=0, callbacks=[pruning, Check()])
    assert seen == list(range(1, 16)), (pattern, seen)
    assert int((dense.kernel.numpy() == 0).sum()) == 48, pattern
for pattern in sys.argv[2:]:
    check(pattern, os.path.join(sys.argv[1], pattern))
    print(pattern)
"""


@pytest.mark.slow
@tensorflow_only
def test_two_replicas_of_a_mirrored_model_have_the_same_zeros(tmp_path):
    # A process of its own: logical devices are set before TensorFlow starts.
    command = [sys.executable, "-c", MIRRORED, str(tmp_path), *NETWORKS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(NETWORKS)


def test_early_stopping_brings_back_weights_as_sparse_as_the_best_were():
    class Memory(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.weights = {**getattr(self, "weights", {}), epoch: self.model.get_weights()}

    model, recorder, memory = build(), Recorder(), Memory()
    highest_loss = keras.callbacks.EarlyStopping(
        "loss", mode="max", patience=2, restore_best_weights=True, start_from_epoch=1
    )
    fit(model, Pruning(SCHEDULE), highest_loss, recorder, memory, epochs=9)
    assert not recorder.differences(model, range(1, 41))  # stopped in the epoch with index 3
    for left, right in zip(model.get_weights(), memory.weights[1], strict=True):
        np.testing.assert_array_equal(left, right)
    assert counts(model) == expected(model, SCHEDULE.end_step)


def test_every_file_saved_in_mid_fit_is_as_sparse_as_the_schedule(tmp_path):
    model, recorder = build(), Recorder()
    saved = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}.keras", save_freq=4)
    fit(model, Pruning(SCHEDULE), saved, recorder)
    assert not recorder.differences(model, range(1, 21))
    files = {4: "1-4", 8: "1-8", 12: "2-2", 16: "2-6", 20: "2-10"}
    assert {path.stem for path in tmp_path.iterdir()} == set(files.values())
    for step, name in files.items():
        assert counts(keras.saving.load_model(tmp_path / f"{name}.keras")) == expected(model, step)


@pytest.mark.parametrize("pattern", NETWORKS)
def test_validation_on_swapped_moving_averages_is_sparse(pattern):
    class Validation(keras.callbacks.Callback):
        seen = ()

        def on_test_batch_begin(self, batch, logs=None):
            self.seen = [*self.seen, counts(self.model, pattern)]

    model, validation, recorder = moving_average(NETWORKS[pattern]), Validation(), Recorder(pattern)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    pruning = Pruning(SCHEDULE, pattern=pattern)
    fit(model, pruning, swap, validation, recorder, validation_data=data(4), epochs=3)
    assert not recorder.differences(model, range(1, 31))
    assert validation.seen == [expected(model, step, pattern) for step in (10, 20, 30)]
    assert counts(model, pattern) == expected(model, SCHEDULE.end_step, pattern)


def test_training_that_was_interrupted_goes_on_from_its_backup(tmp_path):
    model, backup = build(), keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        fit(model, Pruning(SCHEDULE), backup, StopInEpoch(1), epochs=3)
    again, recorder = build(), Recorder()
    fit(again, Pruning(SCHEDULE), keras.callbacks.BackupAndRestore(tmp_path / "backup"), recorder, epochs=3)
    assert not recorder.differences(again, range(11, 31))


KILLED = """
import os, signal, sys
import keras
from callbacks.pruning_cases import NETWORKS, SCHEDULE, build, fit
from keras_arch.callbacks import Pruning
class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == 15:
            os.kill(os.getpid(), signal.SIGKILL)
pattern, folder = sys.argv[1:]
backup = keras.callbacks.BackupAndRestore(folder)
fit(build(NETWORKS[pattern]()), Pruning(SCHEDULE, pattern=pattern), backup, Kill(), epochs=3)
"""


@pytest.mark.slow
@pytest.mark.parametrize("pattern", NETWORKS)
def test_training_whose_process_was_killed_goes_on_from_its_backup(pattern, tmp_path):
    folder = str(tmp_path / "backup")
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    command = [sys.executable, "-c", KILLED, pattern, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    model, recorder = build(NETWORKS[pattern]()), Recorder(pattern)
    backup = keras.callbacks.BackupAndRestore(folder)
    fit(model, Pruning(SCHEDULE, pattern=pattern), backup, recorder, epochs=3)
    assert not recorder.differences(model, range(11, 31))


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
    assert not recorder.differences(model, range(1, BATCHES + 1))


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


def written(log_dir):
    """Tag to {step: numbers}."""
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = event_accumulator.EventAccumulator(str(log_dir), size_guidance={"tensors": 0})
    events.Reload()
    return {
        tag: {event.step: make_ndarray(event.tensor_proto).tolist() for event in events.Tensors(tag)}
        for tag in events.Tags()["tensors"]
    }


def test_every_epoch_is_written_for_tensorboard(tmp_path):
    model, pruning = build(), Pruning(SCHEDULE, log_dir=tmp_path)
    fit(model, pruning, epochs=3)
    found = written(tmp_path)
    sizes = np.array([27, 189, 21])
    operations = np.array([18, 2, 2])  # the convolution makes 3 x 3 pixels
    left = {step: sizes - expected(model, step) for step in (10, 20, 30)}
    for step, counts_left in left.items():
        np.testing.assert_allclose(found["sparsity"][step], 1 - counts_left / sizes, atol=1e-6)
        assert found["sparsity/total"][step] == pytest.approx(1 - counts_left.sum() / 237)
    assert found["sparsity/target"][30] == pytest.approx(0.8)
    assert found["parameters_left"] == {step: row.tolist() for step, row in left.items()}
    assert found["parameters_left/total"] == {step: row.sum() + 13 for step, row in left.items()}
    assert found["flops_left"] == {step: (row * operations).tolist() for step, row in left.items()}
    assert found["flops_left/total"] == {step: row @ operations for step, row in left.items()}
    assert found["bytes/raw"] == dict.fromkeys(left, 1000)
    assert found["bytes/gzipped"] == {30: pruning.report().bytes_gzip}


def test_for_tensorboard_the_model_is_run_once_a_fit(tmp_path):
    class Counted(layers.Dense):
        calls = 0

        def call(self, inputs):
            self.calls += 1
            return super().call(inputs)

    runs = []
    for log_dir in (None, tmp_path):
        layer = Counted(3)
        model = build(keras.Sequential([keras.Input((5, 5, 1)), layers.Flatten(), layer]))
        fit(model, Pruning(SCHEDULE, log_dir=log_dir), epochs=4)
        runs.append(layer.calls)
    assert runs[1] == runs[0] + 1
