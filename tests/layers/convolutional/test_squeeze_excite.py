import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import SqueezeExcite
from keras_arch.layers.convolutional.squeeze_excite import bottleneck_width

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("shape", [(2, 5, 4), (2, 3, 5, 4), (2, 2, 3, 5, 4)])
def test_equals_the_formula(shape, rng):
    x = rng.standard_normal(shape).astype("float32")
    layer = SqueezeExcite(ratio=0.5)
    layer.build(shape)
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.weights])
    w1, b1, w2, b2 = (weight.astype("float64") for weight in layer.get_weights())
    wanted = np.zeros(shape)
    for b in range(2):
        mean = x[b].reshape(-1, 4).mean(0)
        wanted[b] = x[b] / (1 + np.exp(-(np.maximum(mean @ w1 + b1, 0) @ w2 + b2)))
    np.testing.assert_allclose(values(layer(x)), wanted, rtol=1e-4, atol=1e-5)
    first = SqueezeExcite(ratio=0.5, data_format="channels_first")
    moved = np.moveaxis(x, -1, 1)
    first.build(moved.shape)
    first.set_weights(layer.get_weights())
    np.testing.assert_allclose(np.moveaxis(values(first(moved)), 1, -1), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "ratio", "divisor", "width"),
    [
        (64, 1 / 16, 1, 4),
        (8, 1 / 16, 1, 1),
        (30, 0.25, 1, 7),
        (100, 0.29, 1, 29),  # 0.29 * 100 is 28.999999999999996
        (16, 0.25, 8, 8),
        (72, 0.25, 8, 24),  # 18: 16 would lose more than a tenth
        (120, 0.25, 8, 32),
        (480, 0.25, 8, 120),
    ],
)
def test_the_width_is_rounded_as_said(channels, ratio, divisor, width):
    assert bottleneck_width(channels, ratio, divisor) == width
    layer = SqueezeExcite(ratio, divisor=divisor)
    layer.build((None, 3, channels))
    assert layer.squeeze_dense.units == width


def test_the_mean_does_not_overflow_in_float16():
    layer = SqueezeExcite(width=2, gate="linear", dtype="mixed_float16", kernel_initializer="ones")
    layer.build((None, 64, 64, 1))
    got = values(layer(np.full((1, 64, 64, 1), 30.0)))  # the sum is 122880
    np.testing.assert_array_equal(got, np.full((1, 64, 64, 1), 1800.0))


def test_lora_reaches_both_layers(rng):
    model = keras.Sequential([keras.Input((3, 5, 4)), SqueezeExcite(width=3)])
    x = rng.standard_normal((2, 3, 5, 4)).astype("float32")
    before = values(model(x))
    model.layers[0].squeeze_dense.enable_lora(2)
    np.testing.assert_allclose(values(model(x)), before, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 0}, r"ratio must be a number in \(0, 1\]"),
        ({"ratio": 16}, "ratio must be a number"),
        ({"width": 0}, "width must be an integer >= 1"),
        ({"ratio": 0.5, "width": 2}, "width stands in place of ratio"),
        ({"width": 2, "divisor": 8}, "divisor rounds a ratio and no width"),
        ({"data_format": "last"}, "data_format must be one of"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        SqueezeExcite(**arguments)


def test_inputs_without_places_are_refused():
    with pytest.raises(ValueError, match=r"inputs must be \(batch, ..., channels\)"):
        SqueezeExcite().build((2, 4))
