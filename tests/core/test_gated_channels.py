"""What a layer says of the channels it weighs, against what its outputs do."""

import keras
import numpy as np
import pytest

import keras_arch as ka

pytestmark = pytest.mark.backend


def built(rng, **options):
    layer = ka.layers.SqueezeExcite(ratio=0.75, **options)
    layer.build((None, 5, 4, 4))
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_channel_of_zeros_is_as_if_it_were_not_there(rng, use_bias):
    layer = built(rng, use_bias=use_bias)
    gated = layer.gated_channels()
    x = rng.normal(size=(2, 5, 4, 4)).astype("float32")
    x[..., 2] = 0
    whole = keras.ops.convert_to_numpy(layer(x))
    small = ka.layers.SqueezeExcite.from_config({**layer.get_config(), **gated.config})
    small.build((None, 5, 4, 3))
    weights = {id(weight): weight.numpy() for weight in layer.weights}
    for variable, axis in gated.slices:
        weights[id(variable)] = np.delete(weights[id(variable)], 2, axis)
    small.set_weights(list(weights.values()))
    left = np.delete(x, 2, -1)
    np.testing.assert_array_equal(whole[..., 2], 0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(small(left)), np.delete(whole, 2, -1), atol=1e-6)


def test_a_channel_is_read_where_another_depends_on_it(rng):
    layer = built(rng)
    kernel = layer.squeeze_dense.kernel.numpy()
    kernel[1], kernel[3, 0] = 0, 0
    layer.squeeze_dense.kernel.assign(kernel)
    assert layer.gated_channels().read().tolist() == [True, False, True, True]
    x = rng.normal(size=(2, 5, 4, 4)).astype("float32")
    for channel, read in enumerate([True, False, True, True]):
        changed = x.copy()
        changed[..., channel] += 1
        others = np.delete(keras.ops.convert_to_numpy(layer(changed) - layer(x)), channel, -1)
        assert (np.abs(others).max() > 1e-5) == read


def test_channels_that_are_mixed_or_come_first_do_not_pass(rng):
    assert built(rng, gate="softmax").gated_channels() is None
    assert built(rng, data_format="channels_first").gated_channels() is None
