"""SSIM against TensorFlow's own."""

import numpy as np
import pytest

from keras_arch.explain.metrics.structural_similarity import structural_similarity


def unit(maps):
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    return ((maps - low) / (high - low)).astype("float32")


@pytest.mark.parametrize("shape", [(3, 16, 14), (2, 11, 11), (2, 7, 7)])
def test_it_equals_tensorflow(rng, shape):
    tf = pytest.importorskip("tensorflow")
    a = rng.normal(size=shape)
    b = a + rng.normal(size=shape)
    want = tf.image.ssim(unit(a)[..., None], unit(b)[..., None], max_val=1.0, filter_size=min(11, *shape[1:]))
    np.testing.assert_allclose(structural_similarity(a, b), want, atol=1e-5)


@pytest.mark.backend
def test_it_is_one_for_what_differs_in_scale_only(rng):
    a = rng.normal(size=(2, 6, 13))
    np.testing.assert_allclose(structural_similarity(a, 3 * a + 1), 1, atol=1e-9)
    assert (structural_similarity(a, -a) < 0.5).all()


@pytest.mark.backend
def test_constant_maps_are_finite(rng):
    flat, other = np.ones((1, 5, 5)), rng.normal(size=(1, 5, 5))
    np.testing.assert_allclose(structural_similarity(flat, flat), 1)
    assert np.isfinite(structural_similarity(flat, other)).all()
