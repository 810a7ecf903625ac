"""Pictures are tiled, standardized, colored and mixed as tf-explain and OpenCV do."""

import numpy as np
import pytest

from keras_arch.explain.cam.resize import resize
from keras_arch.interop.tf_explain import pictures


@pytest.mark.parametrize(("count", "side"), [(1, 1), (2, 2), (4, 2), (5, 3)])
def test_tiles_stand_row_by_row_in_the_smallest_square(count, side):
    tiles = np.stack([np.full((2, 3, 3), number + 1, "uint8") for number in range(count)])
    grid = pictures.tiled(tiles)
    assert grid.shape == (2 * side, 3 * side, 3)
    for place in range(side * side):
        row, column = divmod(place, side)
        tile = grid[2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
        assert (tile == (place + 1 if place < count else 0)).all()
    assert pictures.tiled(tiles[..., 0]).shape == (2 * side, 3 * side)


def test_bytes_are_deviations_of_the_whole_batch(rng):
    values = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    gray = np.abs(values).sum(-1)
    want = 255 * (gray - gray.mean()) / gray.std()
    inside = (want >= 0) & (want < 256)
    got = pictures.standardized(values)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got[inside], want[inside].astype(int))
    assert 0.1 < inside.mean() < 0.6
    alone = pictures.standardized(values[:1])
    assert (alone != got[:1]).any()


def test_float_images_mean_zero_to_one_or_minus_one_to_one():
    assert pictures.as_bytes(np.array([0.0, 0.5, 1.0])).tolist() == [0, 127, 255]
    assert pictures.as_bytes(np.array([-1.0, 0.0, 1.0])).tolist() == [0, 127, 255]
    assert pictures.as_bytes(np.array([3, 200], "uint8")).tolist() == [3, 200]


def test_a_map_is_stretched_colored_and_added_to_the_image():
    image = np.full((2, 2, 3), 100, "uint8")
    got = pictures.overlaid(np.array([[1.0, 3.0], [1.0, 3.0]]), image, image_weight=0.5)
    assert got[0, 0].tolist() == [68 + 50, 1 + 50, 84 + 50]
    assert got[0, 1].tolist() == [255, 255, 37 + 50]
    gray = pictures.overlaid(np.array([[1.0, 3.0], [1.0, 3.0]]), image[..., :1], image_weight=0.5)
    np.testing.assert_array_equal(gray, got)
    flat = pictures.overlaid(np.ones((2, 2)), image, image_weight=0.0)
    assert flat[0, 0].tolist() == [68, 1, 84]


@pytest.mark.parametrize("size", [(7, 5), (3, 4), (2, 9)])
def test_maps_are_resampled_like_those_of_the_methods(rng, size):
    for dtype in ("float32", "float64"):
        heatmap = rng.random((3, 4)).astype(dtype)
        got = pictures.resized(heatmap, size)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, resize(heatmap[None], size)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.oracle
@pytest.mark.parametrize("size", [(7, 5), (3, 4), (16, 9), (2, 2)])
def test_maps_are_resampled_as_opencv_does(rng, size):
    cv2 = pytest.importorskip("cv2", reason="needs the extra keras-arch[interop]")
    for dtype in ("float32", "float64"):
        heatmap = rng.random((3, 4)).astype(dtype)
        np.testing.assert_allclose(pictures.resized(heatmap, size), cv2.resize(heatmap, size[::-1]), rtol=0, atol=1e-6)


def test_images_of_two_channels_are_refused():
    with pytest.raises(ValueError, match="validation_data must hold images of one or three channels"):
        pictures.overlaid(np.ones((2, 2)), np.ones((2, 2, 2)))


@pytest.mark.parametrize("name", ["grid.png", "grid.bmp"])
def test_pictures_are_written_and_read_again(tmp_path, rng, name):
    from PIL import Image

    for shape in ((4, 5), (4, 5, 3)):
        grid = rng.integers(0, 256, shape).astype("uint8")
        pictures.write(grid, tmp_path / "new" / "folder", name)
        with Image.open(tmp_path / "new" / "folder" / name) as image:
            np.testing.assert_array_equal(np.asarray(image), grid)


@pytest.mark.oracle
@pytest.mark.parametrize("colormap", [0, 2, 7, 8, 11, 13, 14, 15, 16, 17, 20])
def test_colors_are_those_of_opencv(colormap):
    cv2 = pytest.importorskip("cv2", reason="needs the extra keras-arch[interop]")
    levels = np.arange(256, dtype="uint8").reshape(16, 16)
    want = cv2.applyColorMap(levels, colormap)[..., ::-1]
    np.testing.assert_array_equal(pictures.colored(levels, colormap), want)


def test_a_colormap_of_opencv_alone_says_what_to_install():
    try:
        import cv2  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"OpenCV's colormap number 2 needs .*keras-arch\[interop"):
            pictures.colored(np.zeros((2, 2), "uint8"), 2)
