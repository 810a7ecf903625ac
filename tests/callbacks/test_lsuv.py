"""The callback LSUV: once, before the first step, and never on a model that has learned."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.callbacks import LSUV

pytestmark = pytest.mark.backend


class FirstEpoch(keras.callbacks.Callback):
    """Remembers the weights before the first batch of each fit."""

    def on_epoch_begin(self, epoch, logs=None):
        self.wanted = True

    def on_train_batch_begin(self, batch, logs=None):
        if self.wanted:
            self.kernels = [ops.convert_to_numpy(layer.kernel).copy() for layer in self.model.layers]
        self.wanted = False


@pytest.fixture
def data(rng):
    return (4 * rng.normal(size=(32, 3))).astype("float32"), rng.normal(size=(32, 2)).astype("float32")


def compiled(**options):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.01), "mse", **{"jit_compile": keras.backend.backend() == "jax", **options})
    return model


def fit(model, data, *callbacks, **options):
    return model.fit(*data, batch_size=16, verbose=0, callbacks=list(callbacks), **options)


def test_training_starts_from_unit_variance(data):
    model, scaling, first = compiled(), LSUV(data[0], seed=0), FirstEpoch()
    assert scaling.report is None
    fit(model, data, scaling, first)
    assert scaling.report.converged
    hidden = data[0] @ first.kernels[0]
    assert hidden.var() == pytest.approx(1, abs=0.011)
    assert (np.maximum(hidden, 0) @ first.kernels[1]).var() == pytest.approx(1, abs=0.011)
    moved = ops.convert_to_numpy(model.layers[0].kernel) - first.kernels[0]
    assert 0 < np.abs(moved).max() < 0.5  # the steps went on from there


def test_a_later_fit_goes_on_from_what_was_learned(data):
    model, scaling = compiled(), LSUV(data[0], seed=0)
    fit(model, data, scaling)
    report = scaling.report
    fit(model, data, scaling, epochs=2, initial_epoch=1)
    fit(model, data, scaling)
    model.compile("sgd", "mse", jit_compile=keras.backend.backend() == "jax")  # a new optimizer, which has made no step
    fit(model, data, scaling)
    assert scaling.report is report


def test_again_scales_at_the_start_of_each_fit_only(data):
    model, scaling = compiled(), LSUV(data[0], seed=0, again=True)
    reports = []
    remember = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: reports.append(scaling.report))
    fit(model, data, scaling, remember, epochs=2)
    fit(model, data, scaling, remember, epochs=1)
    assert reports[0] is reports[1]
    assert reports[2] is not reports[0]


def test_a_loaded_model_is_left_alone(data, tmp_path):
    model = compiled()
    fit(model, data)
    model.save(tmp_path / "model.keras")
    scaling = LSUV(data[0])
    fit(keras.saving.load_model(tmp_path / "model.keras"), data, scaling)
    assert scaling.report is None


@pytest.mark.parametrize("first", ["scaling", "backup"])
def test_an_interrupted_fit_that_is_resumed_is_left_alone(data, tmp_path, first):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(compiled(), data, keras.callbacks.BackupAndRestore(tmp_path), Interrupt(), epochs=3)
    scaling, backup = LSUV(data[0]), keras.callbacks.BackupAndRestore(tmp_path)
    fit(compiled(), data, *([scaling, backup] if first == "scaling" else [backup, scaling]), epochs=3)
    assert scaling.report is None


def test_a_fit_that_starts_at_a_later_epoch_is_left_alone(data):
    scaling = LSUV(data[0])
    fit(compiled(), data, scaling, initial_epoch=3, epochs=4)
    assert scaling.report is None


def test_a_subclassed_model_is_built_and_scaled(data):
    class Small(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(2, name="head")

        def call(self, inputs):
            return self.head(inputs)

    model, scaling = Small(), LSUV(data[0])
    model.compile("sgd", "mse", jit_compile=keras.backend.backend() == "jax")
    fit(model, data, scaling)
    assert [row.path for row in scaling.report.layers] == ["head"]
    assert scaling.report.converged


def test_options_out_of_range_raise_at_once(data):
    with pytest.raises(ValueError, match="tolerance must be"):
        LSUV(data[0], tolerance=-1)
    with pytest.raises(ValueError, match="again must be True or False"):
        LSUV(data[0], again="yes")
