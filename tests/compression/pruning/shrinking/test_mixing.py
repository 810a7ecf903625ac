"""Dense and convolutional layers, probed: what depends on what, what constants add, what is left when cut."""

import keras
import numpy as np
import pytest

from keras_arch.compression.clone import copy_of
from keras_arch.compression.pruning.shrinking.channels import UntraceableError
from keras_arch.compression.pruning.shrinking.mixing import Mixing

pytestmark = pytest.mark.backend
L = keras.layers
CASES = {
    "dense": (lambda: L.Dense(4), (3,)),
    "dense in time": (lambda: L.Dense(4, use_bias=False), (5, 3)),
    "conv1d": (lambda: L.Conv1D(4, 3, dilation_rate=2), (7, 3)),
    "causal": (lambda: L.Conv1D(4, 2, padding="causal"), (7, 3)),
    "conv2d": (lambda: L.Conv2D(4, (2, 3), strides=2), (5, 6, 3)),
    "same": (lambda: L.Conv2D(4, 3, padding="same"), (5, 6, 3)),
    "1x1 same": (lambda: L.Conv2D(4, 1, padding="same"), (5, 6, 3)),
    "conv3d": (lambda: L.Conv3D(4, 2), (3, 4, 3, 3)),
    "transposed": (lambda: L.Conv2DTranspose(4, 2, strides=2), (3, 4, 3)),
    "1x1 transposed": (lambda: L.Conv1DTranspose(4, 1), (5, 3)),
    "separable": (lambda: L.SeparableConv2D(4, 2, depth_multiplier=2), (4, 5, 3)),
    "separable same": (lambda: L.SeparableConv1D(4, 3, padding="same"), (5, 3)),
}


def probe(layer, x):
    return keras.ops.convert_to_numpy(layer(x[None]))[0]


@pytest.fixture(params=CASES)
def case(request, rng):
    """A layer with random weights of which some channel pairs are zero, and the shape of its input."""
    make, shape = CASES[request.param]
    layer = make()
    layer.build((None, *shape))
    weights = [rng.standard_normal(weight.shape).astype("float32") for weight in layer.weights]
    last = 1 if "separable" in request.param else 0
    swap = (lambda w: np.swapaxes(w, -1, -2)) if "transposed" in request.param else (lambda w: w)
    swap(weights[last])[..., 0, :2] = 0.0
    swap(weights[last])[..., :, 3] = 0.0
    layer.set_weights(weights)
    return layer, shape


def test_a_filter_depends_on_the_inputs_that_move_it(case, rng):
    layer, shape = case
    x = rng.standard_normal(shape).astype("float32")
    found = np.zeros((3, 4), dtype=bool)
    for channel in range(3):
        moved = x.copy()
        moved[..., channel] += 1.0 + rng.random(shape[:-1])
        found[channel] = (probe(layer, moved) != probe(layer, x)).reshape(-1, 4).any(axis=0)
    np.testing.assert_array_equal(Mixing(layer).depends, found)


def test_constants_that_pass_add_the_same_everywhere_and_no_others_do(case, rng):
    layer, shape = case
    rule = Mixing(layer)
    x = np.full(shape, np.nan, "float32")
    x[...] = [1.5, -2.0, 0.5]
    outputs = (probe(layer, x) - rule.bias).reshape(-1, 4)
    spread = np.ptp(outputs, axis=0).max()
    assert rule.constants_pass(np.array([1.5, 0.0, np.nan])).tolist() == [rule.exact, True, False]
    assert rule.exact == (spread < 1e-5)
    if rule.exact:
        np.testing.assert_allclose(rule.contribution(np.array([1.5, -2.0, 0.5])), outputs[0], atol=1e-5)
    assert rule.contribution(np.array([np.nan, 0.0, np.nan])).tolist() == [0.0] * 4


def test_the_cut_layer_computes_what_is_left_of_the_whole(case, rng):
    layer, shape = case
    inputs, outputs = np.array([True, False, True]), np.array([True, False, True, True])
    shift = np.array([0.5, 9.0, 0.0, -0.25])
    changes, weights = Mixing(layer).cut(inputs, outputs, shift)
    small = copy_of(layer, **changes)
    small.build((None, *shape[:-1], 2))
    small.set_weights(weights)
    x = rng.standard_normal(shape).astype("float32")
    x[..., 1] = 0.0
    wanted = probe(layer, x)[..., outputs] + shift[outputs]
    np.testing.assert_allclose(probe(small, x[..., inputs]), wanted, atol=1e-5)
    assert small.use_bias


def test_a_bias_is_added_only_where_it_is_needed(rng):
    layer = L.Dense(2, use_bias=False)
    layer.build((None, 2))
    every, shift = np.ones(2, dtype=bool), np.array([0.0, 3.0])
    changes, weights = Mixing(layer).cut(every, np.array([True, False]), shift)
    assert (changes, len(weights)) == ({"units": 1}, 1)
    changes, weights = Mixing(layer).cut(every, every, shift)
    assert (changes, weights[1].tolist()) == ({"units": 2, "use_bias": True}, [0.0, 3.0])


def lora():
    layer = L.Dense(2)
    layer.build((None, 4))
    layer.enable_lora(1)
    return layer


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: L.Conv2D(4, 1, groups=2), "its filters are in groups"),
        (lambda: L.Conv2D(4, 1, data_format="channels_first"), "its channels come first"),
        (lora, "it has other weights than kernel and bias"),
    ],
)
def test_what_does_more_is_not_traced(make, why):
    layer = make()
    if not layer.built:
        layer.build((None, 4, 4, 4))
    with pytest.raises(UntraceableError, match=why):
        Mixing(layer)
