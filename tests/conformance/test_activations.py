"""Every public activation goes through the same checks; one without a case fails."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch import activations

pytestmark = pytest.mark.backend

# Name -> magnitudes of inputs that must give finite outputs, by dtype.
CASES = {
    "lisht": {"float16": 6e4, "bfloat16": 3e38, "float32": 3e38},
    "snake": {"float16": 6e4, "bfloat16": 3e38, "float32": 3e38},
    "squared_relu": {"float16": 255.0, "bfloat16": 1e19, "float32": 1e19},
}
RESOLUTION = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
NAMES = [name for name in activations.__all__ if name != "get"]


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def activation(name):
    return getattr(activations, name)


def test_every_activation_has_a_case():
    assert sorted(CASES) == sorted(NAMES), f"add each activation to CASES in {__file__}"


def test_it_is_registered_under_its_name_for_ever(name, activation):
    assert keras.saving.get_registered_name(activation) == f"keras_arch>{name}"
    assert keras.saving.get_registered_object(f"keras_arch>{name}") is activation


def test_ids_and_configs_give_the_function(name, activation):
    config = keras.activations.serialize(activation)
    assert [activations.get(identifier) for identifier in (name, f"keras_arch>{name}", config)] == [activation] * 3
    assert keras.activations.get(config) is activation


@pytest.mark.parametrize("dtype", RESOLUTION)
def test_half_precision_is_the_rounded_float32(activation, dtype, rng):
    x = ops.cast(50 * rng.standard_normal(200), dtype)
    got, exact = activation(x), values(activation(ops.cast(x, "float32")))
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    # Half a step of the last place, or of the smallest float16 where the output is near 0.
    np.testing.assert_allclose(values(got), exact, rtol=1.01 * RESOLUTION[dtype], atol=6e-8)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_large_inputs_stay_finite(name, activation, dtype):
    x = ops.cast(CASES[name][dtype] * np.array([-1.0, -0.5, 0.0, 0.5, 1.0]), dtype)
    assert np.isfinite(values(activation(x))).all()


POINTS = np.array([-3.3, -0.4, 0.3, 2.1], "float32")


def total(y, prediction):
    return ops.sum(prediction, axis=-1)


@pytest.mark.parametrize("jit", [False, True])
def test_the_gradient_is_the_finite_difference(activation, jit):
    if jit and keras.backend.backend() == "torch":
        pytest.skip("Keras compiles with XLA on TensorFlow and JAX only")
    step = 1e-2
    below, above = (values(activation(POINTS + sign * step)) for sign in (-1, 1))
    layer = keras.layers.Dense(4, activation, kernel_initializer="zeros")  # the biases are the points
    model = keras.Sequential([keras.Input((1,)), layer])
    layer.bias.assign(POINTS)
    model.compile(keras.optimizers.SGD(1.0), total, jit_compile=jit)
    model.fit(np.ones((2, 1), "float32"), np.zeros((2, 4), "float32"), verbose=0)
    np.testing.assert_allclose(POINTS - values(layer.bias), (above - below) / (2 * step), atol=2e-3)


def test_a_saved_and_loaded_model_has_it(activation, tmp_path, rng):
    x = rng.standard_normal((4, 3)).astype("float32")
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation=activation, bias_initializer="ones")(inputs)
    model = keras.Model(inputs, keras.layers.Activation(activation)(hidden))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[1].activation is activation
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_unknown_sizes_stay_unknown(activation):
    symbol = activation(keras.KerasTensor((None, None, 3), "float16"))
    assert (symbol.shape, symbol.dtype) == ((None, None, 3), "float16")
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.Activation(activation)])
    assert model.output_shape == (None, None, 3)
    assert model.predict(np.ones((2, 5, 3)), verbose=0).shape == (2, 5, 3)
