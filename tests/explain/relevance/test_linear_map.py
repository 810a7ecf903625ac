"""Sums of parts of the weights, also with factors of both signs."""

import numpy as np
import pytest
from keras import ops

from keras_arch.explain.relevance.linear_map import LinearMap


@pytest.mark.backend
@pytest.mark.parametrize("scale", [None, np.float32([2.0, -0.5, -1.0])])
def test_parts_of_weights_are_those_of_the_scaled_matrix(rng, scale):
    weights, x = rng.normal(size=(4, 3)).astype("float32"), rng.normal(size=(2, 4)).astype("float32")

    def apply(x, change):
        return ops.matmul(x, change(ops.convert_to_tensor(weights)))

    linear = LinearMap(apply, ops.matmul(x, weights), scale=None if scale is None else ops.convert_to_tensor(scale))
    whole = weights if scale is None else weights * scale
    for got, want in (
        (linear.total(), whole),
        (linear.plain(x), whole),
        (linear.positive(x), np.maximum(whole, 0)),
        (linear.negative(x), np.minimum(whole, 0)),
        (linear.absolute(x), np.abs(whole)),
        (linear.squared(x), whole**2),
        (linear.even(x), np.ones_like(whole)),
    ):
        np.testing.assert_allclose(ops.convert_to_numpy(got), x @ want, rtol=1e-4, atol=1e-6)
