"""PNG files decoded again by another reader."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_arch.tensorboard import encode_png
from keras_arch.tensorboard.png import is_png8


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (6, 9, 1), (8, 3, 3), (5, 8, 4)])
def test_another_reader_finds_the_same_pixels(picture, shape):
    pixels = picture(*shape)
    decoded = np.asarray(Image.open(io.BytesIO(encode_png(pixels))))
    np.testing.assert_array_equal(decoded.reshape(shape), pixels)


def test_views_with_strides_are_encoded_as_they_look(picture):
    pixels = picture(6, 8, 3)[::-2, 1::3]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(pixels)))), pixels)


def test_smooth_pictures_are_small():
    y, x = np.mgrid[:224, :224]
    assert len(encode_png((x + y).astype("uint8"))) < 2000


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2), "float32"), "must be of type uint8; received array of type float32.*astype"),
        (np.zeros((2, 2, 2), "uint8"), r"must have shape .*received array of shape \(2, 2, 2\)"),
        (np.zeros((0, 2), "uint8"), r"not empty; received array of shape \(0, 2\)"),
        (np.zeros((1, 2, 2, 3), "uint8"), "Pass one image with channels last"),
    ],
)
def test_other_arrays_are_refused(array, message):
    with pytest.raises(ValueError, match=message):
        encode_png(array)


def test_only_8_bit_png_files_are_recognised(picture):
    deep = io.BytesIO()
    Image.fromarray(picture(2, 2).astype("uint16")).save(deep, "PNG")
    assert is_png8(encode_png(picture(2, 2)))
    assert not is_png8(deep.getvalue())
    assert not is_png8(encode_png(picture(2, 2))[:20])
    assert not is_png8("text")
