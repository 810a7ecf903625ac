"""Resampling of maps against Keras's image operations and an interpolation written out."""

import keras
import numpy as np
import pytest

from keras_arch.explain.cam.resize import resize


@pytest.mark.parametrize(("ours", "theirs"), [("linear", "bilinear"), ("nearest", "nearest")])
@pytest.mark.parametrize("size", [(12, 20), (6, 5), (7, 9)])
def test_upsampled_pictures_equal_keras(rng, ours, theirs, size):
    maps = rng.normal(size=(2, 3, 5)).astype("float32")
    want = keras.ops.image.resize(maps[..., None], size, interpolation=theirs)[..., 0]
    np.testing.assert_allclose(resize(maps, size, ours), want, atol=1e-6)


def test_a_line_equals_interpolation_between_cell_centres(rng):
    line = rng.normal(size=(1, 4)).astype("float32")
    centres = (np.arange(10) + 0.5) * 4 / 10 - 0.5
    np.testing.assert_allclose(resize(line, (10,))[0], np.interp(centres, np.arange(4), line[0]), atol=1e-6)


def test_volumes_are_resized_axis_by_axis(rng):
    maps = rng.normal(size=(2, 2, 3, 4)).astype("float32")
    by_slice = np.stack([resize(maps[:, k], (5, 6)) for k in range(2)], 1)
    want = np.stack([resize(by_slice[..., a, b], (3,)) for a in range(5) for b in range(6)], -1).reshape(2, 3, 5, 6)
    np.testing.assert_allclose(resize(maps, (3, 5, 6)), want, atol=1e-6)


def test_equal_size_changes_nothing(rng):
    maps = rng.normal(size=(2, 3, 5)).astype("float32")
    np.testing.assert_array_equal(resize(maps, (3, 5)), maps)
