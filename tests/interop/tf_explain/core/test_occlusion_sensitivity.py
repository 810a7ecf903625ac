"""Occlusion by a gray patch, place after place."""

import keras
import numpy as np
import pytest

from keras_arch.explain.cam.resize import resize
from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.core.occlusion_sensitivity import OcclusionSensitivity

pytestmark = pytest.mark.filterwarnings("ignore:.*follows tf-explain")


@pytest.mark.parametrize("patch", [2, 3])
def test_maps_equal_loops_over_patches(net, images, assert_same_picture, patch):
    cells = -(-8 // patch)
    pictures_of_images = []
    for image in images:
        maps = np.zeros((cells, cells))
        for row in range(cells):
            for column in range(cells):
                covered = image.copy()
                covered[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = 127.5
                maps[row, column] = 1 - keras.ops.convert_to_numpy(net(covered[None]))[0, 1]
        spread = resize(maps[None], (8, 8))[0]
        got = OcclusionSensitivity(batch_size=4).get_sensitivity_map(net, image, 1, patch)
        np.testing.assert_allclose(got, spread, rtol=1e-4, atol=1e-6)
        pictures_of_images.append(pictures.overlaid(got, image))
    got = OcclusionSensitivity().explain((images, None), net, 1, patch)
    assert_same_picture(got, pictures.tiled(np.stack(pictures_of_images)))


def test_a_segmentation_is_refused(images):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)])
    with pytest.raises(ValueError, match="model must return one number for each class"):
        OcclusionSensitivity().explain((images, None), model, 0, 4)


@pytest.mark.oracle
def test_the_picture_is_tf_explains(net, images, real, assert_same_picture):
    got = OcclusionSensitivity().explain((images, None), net, 1, 3)
    assert_same_picture(got, real("OcclusionSensitivity", (images, None), net, 1, 3))


@pytest.mark.oracle
def test_the_picture_of_an_image_that_is_not_square_is_tf_explains(rng, real, assert_same_picture):
    layers = [keras.layers.Conv2D(3, 3, activation="tanh"), keras.layers.Flatten(), keras.layers.Dense(2)]
    model, x = keras.Sequential([keras.Input((6, 9, 3)), *layers]), rng.random((2, 6, 9, 3)).astype("float32")
    got = OcclusionSensitivity().explain((x, None), model, 1, 4)
    assert_same_picture(got, real("OcclusionSensitivity", (x, None), model, 1, 4))
