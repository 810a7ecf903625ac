"""Layers that keep channels apart, probed: what becomes of constants, what is left when cut."""

import keras
import numpy as np
import pytest

from keras_arch.compression.pruning.shrinking.channels import Channels, UntraceableError
from keras_arch.compression.pruning.shrinking.passing import PASSING, Passing

pytestmark = pytest.mark.backend
L = keras.layers
IMAGE, SERIES, VOLUME = (4, 6, 3), (4, 3), (2, 2, 4, 3)
CASES = [
    (L.Identity(), SERIES),
    (L.ActivityRegularization(0.1), SERIES),
    (L.Dropout(0.5), SERIES),
    (L.AlphaDropout(0.5), SERIES),
    (L.GaussianDropout(0.5), SERIES),
    (L.GaussianNoise(0.5), SERIES),
    (L.SpatialDropout1D(0.5), SERIES),
    (L.SpatialDropout2D(0.5), IMAGE),
    (L.SpatialDropout3D(0.5), VOLUME),
    (L.MaxPooling1D(3, 2, padding="same"), SERIES),
    (L.MaxPooling2D(3, 1, padding="same"), IMAGE),
    (L.MaxPooling3D(2), VOLUME),
    (L.AveragePooling1D(3, 1, padding="same"), SERIES),
    (L.AveragePooling2D(3, 1, padding="same"), IMAGE),
    (L.AveragePooling3D(2, padding="same"), VOLUME),
    (L.GlobalMaxPooling1D(), SERIES),
    (L.GlobalMaxPooling2D(keepdims=True), IMAGE),
    (L.GlobalMaxPooling3D(), VOLUME),
    (L.GlobalAveragePooling1D(), SERIES),
    (L.GlobalAveragePooling2D(keepdims=True), IMAGE),
    (L.GlobalAveragePooling3D(), VOLUME),
    (L.Cropping1D(1), SERIES),
    (L.Cropping2D(1), IMAGE),
    (L.Cropping3D(((0, 1), (1, 0), (1, 1))), VOLUME),
    (L.UpSampling1D(2), SERIES),
    (L.UpSampling2D(2, interpolation="bilinear"), IMAGE),
    (L.UpSampling3D(2), VOLUME),
    (L.ZeroPadding1D(1), SERIES),
    (L.ZeroPadding2D(1), IMAGE),
    (L.ZeroPadding3D(1), VOLUME),
    (L.Reshape((2, -1, IMAGE[-1])), IMAGE),
    (L.Activation("gelu"), SERIES),
    (L.ReLU(max_value=1.0, negative_slope=0.2), SERIES),
    (L.LeakyReLU(0.2), SERIES),
    (L.ELU(), SERIES),
    (L.PReLU(shared_axes=[1, 2]), IMAGE),
    (L.PReLU(), SERIES),
    (L.Rescaling(2.0, 0.5), SERIES),
    (L.BatchNormalization(), IMAGE),
    (L.BatchNormalization(axis=2, scale=False, center=False), SERIES),
    (L.DepthwiseConv1D(2, depth_multiplier=2, activation="tanh"), SERIES),
    (L.DepthwiseConv2D(3, padding="same"), IMAGE),
    (L.DepthwiseConv2D(2, use_bias=False), IMAGE),
]


def probe(layer, x):
    return keras.ops.convert_to_numpy(layer(x[None].astype("float32"), training=False))[0]


@pytest.fixture(params=range(len(CASES)), ids=[type(layer).__name__ for layer, _ in CASES])
def case(request, rng):
    layer, shape = CASES[request.param]
    layer = type(layer).from_config(layer.get_config())
    layer.build((None, *shape))
    weights = [rng.standard_normal(weight.shape).astype("float32") for weight in layer.weights]
    if isinstance(layer, L.BatchNormalization):
        weights[-1] = np.abs(weights[-1]) + 0.5
        if layer.scale:
            weights[0][2] = 0.0
    layer.set_weights(weights)
    return layer, shape


def test_every_class_has_a_case():
    assert {type(layer) for layer, _ in CASES} == set(PASSING)


def test_known_values_are_those_that_come_out(case, rng):
    """A channel of 1.5, one of 0, one that varies: whatever is claimed constant is, and comes out as claimed."""
    layer, shape = case
    x = rng.standard_normal(shape)
    x[..., 0], x[..., 1] = 1.5, 0.0
    outputs = probe(layer, x).reshape(-1, probe(layer, x).shape[-1])
    got = Passing(layer, 1 + len(shape))(Channels(np.array([5, 6, 7]), np.array([1.5, 0.0, np.nan])))
    per_channel = outputs.shape[1] // 3
    assert got.units.tolist() == np.repeat([5, 6, 7], per_channel).tolist()
    claimed = np.flatnonzero(got.constant)
    assert set(np.arange(per_channel, 2 * per_channel)) <= set(claimed), "a constant zero stays constant everywhere"
    np.testing.assert_allclose(outputs[:, claimed], np.tile(got.values[claimed], (len(outputs), 1)), atol=1e-5)
    steady = np.flatnonzero(np.ptp(outputs, axis=0) < 1e-6)
    if not isinstance(layer, L.PReLU) and len(outputs) > 1:
        np.testing.assert_array_equal(steady, claimed)


def test_the_cut_layer_computes_what_is_left_of_the_whole(case, rng):
    layer, shape = case
    inputs = np.array([True, False, True])
    rule = Passing(layer, 1 + len(shape))
    small = type(layer).from_config({**layer.get_config(), **rule.changes(inputs)})
    small.build((None, *shape[:-1], 2))
    small.set_weights(rule.cut(inputs))
    x = rng.standard_normal(shape)
    whole = probe(layer, x)
    np.testing.assert_allclose(probe(small, x[..., inputs]), whole[..., np.repeat(inputs, rule.multiplier)], atol=1e-6)


def test_a_constant_below_zero_is_known_after_prelu_only_if_positive():
    layer = L.PReLU()
    layer.build((None, 4, 3))
    got = Passing(layer, 3)(Channels(np.arange(3), np.array([2.0, -2.0, np.nan])))
    np.testing.assert_array_equal(got.values, [2.0, np.nan, np.nan])


def test_bicubic_upsampling_keeps_zeros_only():
    got = Passing(L.UpSampling2D(interpolation="bicubic"), 4)(Channels(np.arange(2), np.array([2.0, 0.0])))
    np.testing.assert_array_equal(got.values, [np.nan, 0.0])


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (L.BatchNormalization(axis=1), "it normalizes axis 1"),
        (L.PReLU(shared_axes=[3]), "its channels share a slope"),
        (L.Rescaling([1.0, 2.0, 3.0]), "a scale for each channel"),
        (L.Activation("softmax"), "softmax may mix channels"),
        (L.MaxPooling2D(data_format="channels_first"), "its channels come first"),
    ],
)
def test_what_works_along_another_axis_is_not_traced(layer, why):
    layer.build((None, *IMAGE))
    with pytest.raises(UntraceableError, match=why):
        Passing(layer, 4)
