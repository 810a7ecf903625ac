"""Superpixels of images whose regions are known, and connected regions against a flood fill."""

import time

import numpy as np
import pytest
from oracles.superpixels import regions, same_partition

from keras_arch.ops.superpixels import connected_regions, superpixels

pytestmark = pytest.mark.backend


def checkerboard(size, cells, channels, rng):
    """Flat squares of clearly different colours, and which square a pixel belongs to."""
    side = size // cells
    square = np.arange(size) // side
    truth = square[:, None] * cells + square
    colours = rng.permutation(np.linspace(0, 1, cells**2 * channels)).reshape(-1, channels)
    return colours[truth].astype("float32"), truth


@pytest.mark.parametrize("shape", [(30,), (12, 9), (5, 4, 6)])
@pytest.mark.parametrize("labels", [2, 4])
def test_connected_regions_equal_a_flood_fill(shape, labels, rng):
    field = rng.integers(0, labels, shape)
    got = connected_regions(field)
    assert same_partition(got, regions(field))
    assert sorted(np.unique(got)) == list(range(got.max() + 1))


def test_a_long_snake_is_one_region():
    field = np.zeros((41, 41), int)
    field[1::2] = 1
    field[1::4, -1] = 0
    field[3::4, 0] = 0
    assert same_partition(connected_regions(field), regions(field))


def test_segments_do_not_cross_the_borders_of_flat_squares(rng):
    image, truth = checkerboard(32, 4, 3, rng)
    labels = superpixels(image, count=16, compactness=1.0)
    assert labels.shape == (32, 32)
    for label in np.unique(labels):
        assert len(np.unique(truth[labels == label])) == 1


@pytest.mark.parametrize("shape", [(64, 48, 3), (40, 40, 1), (60, 2), (12, 10, 8, 2)])
def test_segments_are_connected_numbered_and_of_the_wanted_number(shape, rng):
    image = rng.normal(size=shape)
    labels = superpixels(image, count=12)
    assert labels.shape == shape[:-1]
    assert labels.dtype == np.int32
    assert sorted(np.unique(labels)) == list(range(labels.max() + 1))
    assert same_partition(labels, regions(labels))
    assert 6 <= labels.max() + 1 <= 24
    assert np.bincount(labels.ravel()).min() >= labels.size / 12 / 8


def test_a_flat_image_is_cut_into_a_grid():
    labels = superpixels(np.zeros((20, 20, 1)), count=4)
    want = np.arange(20)[:, None] // 10 * 2 + np.arange(20) // 10
    assert same_partition(labels, want)


def test_compactness_moves_from_colours_to_squares(rng):
    stripes = np.repeat(np.arange(32) % 2, 32).reshape(32, 32, 1).astype("float32")  # rows of one pixel
    tight = superpixels(stripes, count=4, compactness=1e4)
    assert same_partition(tight, np.arange(32)[:, None] // 16 * 2 + np.arange(32) // 16)


def test_scale_and_offset_of_the_image_do_not_matter(rng):
    image = rng.uniform(size=(24, 24, 3)).astype("float32")
    np.testing.assert_array_equal(superpixels(image, 9), superpixels(image * 128 - 64, 9))


@pytest.mark.parametrize("count", [1, 36, 1000])
def test_the_ends_of_the_count(count, rng):
    labels = superpixels(rng.normal(size=(6, 6, 2)), count)
    assert labels.max() + 1 == min(count, 36)


def test_a_photo_sized_image_takes_well_under_half_a_second(rng):
    image = rng.normal(size=(224, 224, 3)).astype("float32")  # noise: the most pieces to merge
    smooth = np.cumsum(np.cumsum(image, 0), 1)
    took = []
    for picture in (image, smooth):
        superpixels(picture, 50)
        start = time.process_time()
        superpixels(picture, 50)
        took.append(time.process_time() - start)
    assert max(took) < 0.5


@pytest.mark.oracle
def test_borders_are_met_as_well_as_scikit_image_meets_them(rng):
    segmentation = pytest.importorskip("skimage.segmentation", reason="scikit-image is not installed")
    image, truth = checkerboard(60, 4, 3, rng)
    image = np.clip(image + 0.02 * rng.normal(size=image.shape), 0, 1)

    def impurity(labels):
        """Share of pixels outside the square that most of their segment lies in."""
        inside = [np.bincount(truth[labels == one]) for one in np.unique(labels)]
        return sum(counts.sum() - counts.max() for counts in inside) / truth.size

    theirs = segmentation.slic(image, n_segments=36, compactness=10, start_label=0)
    assert impurity(superpixels(image, 36)) <= impurity(theirs) + 0.01
