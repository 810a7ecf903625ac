import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import LayerScale

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 3), (2, 4, 5, 3)])
def test_each_channel_has_a_scale_of_its_own(shape, rng):
    x, gamma = rng.standard_normal(shape).astype("float32"), rng.standard_normal(3).astype("float32")
    layer = LayerScale()
    layer.build(shape)
    layer.set_weights([gamma])
    expected = np.zeros(shape)
    for index in np.ndindex(*shape):
        expected[index] = x[index] * gamma[index[-1]]
    np.testing.assert_allclose(values(layer(x)), expected, rtol=1e-6)


def test_it_starts_at_the_initial_value_and_names_its_weight():
    layer = LayerScale(0.25)
    np.testing.assert_array_equal(values(layer(np.ones((1, 4)))), np.full((1, 4), 0.25))
    assert [(weight.name, tuple(weight.shape)) for weight in layer.trainable_weights] == [("gamma", (4,))]
    assert LayerScale().initial_value == 1e-5


def test_a_small_gamma_keeps_its_bits_in_float16():
    layer = LayerScale(1e-5, dtype="mixed_float16")
    got = layer(np.full((1, 2), 30000.0))
    assert keras.backend.standardize_dtype(got.dtype) == "float16"
    assert abs(float(values(got)[0, 0]) / 0.3 - 1) <= 2.0**-11 + 5e-5  # 1e-5 as a float16 is off by 1.4e-3


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64 unless asked")
def test_float64_stays_float64():
    got = LayerScale(0.1, dtype="float64")(np.full((1, 2), 1 / 3))
    assert keras.backend.standardize_dtype(got.dtype) == "float64"


def test_gamma_is_regularized_constrained_and_trained():
    layer = LayerScale(-0.5, gamma_regularizer=keras.regularizers.L1(0.1), gamma_constraint="non_neg")
    model = keras.Sequential([keras.Input((3,)), layer])
    np.testing.assert_allclose([values(ops.stop_gradient(loss)) for loss in layer.losses], [0.15], rtol=1e-6)
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    model.fit(np.ones((4, 3)), np.ones((4, 3)), verbose=0)
    np.testing.assert_array_equal(values(layer.gamma), np.zeros(3))


def test_mask_passes_through():
    embedded = keras.layers.Embedding(3, 4, mask_zero=True)(np.array([[1, 2, 0, 0]]))
    pooled = keras.layers.GlobalAveragePooling1D()(LayerScale(1.0)(embedded))
    np.testing.assert_allclose(values(pooled), values(embedded)[:, :2].mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", None])
def test_an_initial_value_that_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="initial_value must be a number"):
        LayerScale(value)


def test_unknown_channels_are_refused():
    with pytest.raises(ValueError, match=r"last axis of known size; received inputs=\(None, None\)"):
        LayerScale()(keras.Input((None,)))
