"""Norms with a constant scale: linear in the input, and equal to the layer up to its shift."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.explain.relevance.norms import affine_part, is_norm, norm_part
from keras_arch.layers import GlobalResponseNormalization
from keras_arch.ops.gradients import gradients

L = keras.layers


@pytest.mark.backend
@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.LayerNormalization(),
        lambda: L.LayerNormalization(axis=(2, 3)),
        lambda: L.GroupNormalization(2),
        lambda: L.RMSNormalization(),
        lambda: L.UnitNormalization(),
        lambda: GlobalResponseNormalization(),
    ],
)
def test_relevance_is_conserved_up_to_the_shift(rng, layer):
    layer = layer()
    x = ops.convert_to_tensor(rng.normal(size=(2, 3, 3, 4)).astype("float32"))
    layer(x)
    assert is_norm(layer)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    result = layer(x)
    beta = getattr(layer, "beta", None)
    shift = 0.0 if beta is None else ops.convert_to_numpy(beta)
    weights = rng.normal(size=(2, 3, 3, 4)).astype("float32")
    part = ops.convert_to_numpy(norm_part(layer, result, x))
    np.testing.assert_allclose(part, ops.convert_to_numpy(result) - shift, rtol=1e-3, atol=1e-5)
    factors = ops.convert_to_tensor(weights)
    (found,) = gradients(lambda points: ops.sum(norm_part(layer, result, points[0]) * factors), [x])
    np.testing.assert_allclose(np.sum(ops.convert_to_numpy(x * found)), np.sum(part * weights), rtol=1e-3)


def test_the_linear_part_of_an_affine_layer():
    rescaling = L.Rescaling(3.0, 5.0)
    np.testing.assert_allclose(ops.convert_to_numpy(affine_part(rescaling, ops.ones((1, 2)))), 3.0)
