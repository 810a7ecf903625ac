import keras
import numpy as np
import pytest
from keras import ops
from oracles.patches import cut_into_patches, patch_loop

from keras_arch.layers import PatchEmbedding

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.fixture
def images(rng):
    return rng.standard_normal((2, 6, 9, 2)).astype("float32")


def parameters(layer):
    return values(layer.projection.kernel), values(layer.projection.bias)


def test_tokens_are_the_flattened_patches_times_the_kernel(images):
    layer = PatchEmbedding(3, 5, bias_initializer="random_normal")
    got = values(layer(images))
    kernel, bias = parameters(layer)
    assert kernel.shape == (3, 3, 2, 5)
    np.testing.assert_allclose(got, cut_into_patches(images, 3) @ kernel.reshape(18, 5) + bias, atol=2e-6)
    np.testing.assert_allclose(got, patch_loop(images, kernel, bias, (3, 3)), atol=2e-6)


@pytest.mark.parametrize(("patch", "strides"), [((2, 3), None), ((4, 3), (2, 3)), (4, (2, 1)), ((2, 3), (2, 2))])
def test_oblong_and_overlapping_patches_equal_the_loop(patch, strides, images):
    layer = PatchEmbedding(patch, 4, strides=strides)
    got = values(layer(images))
    np.testing.assert_allclose(got, patch_loop(images, *parameters(layer), layer.strides), atol=2e-6)
    rows, columns = layer.grid(6, 9)
    assert got.shape == (2, rows * columns, 4) == layer.compute_output_shape(images.shape)


def test_a_patch_stands_where_its_row_and_column_say(images):
    layer = PatchEmbedding(3, 4, class_token=True, num_register_tokens=2)
    before = values(layer(images))
    changed = images.copy()
    changed[1, 3:6, 6:9] += 1.0
    differs = (values(layer(changed)) != before).any(axis=-1)
    assert np.argwhere(differs).tolist() == [[1, layer.num_prefix_tokens + 1 * layer.grid(6, 9)[1] + 2]]


def test_learned_tokens_come_first_class_token_before_registers(images):
    layer = PatchEmbedding(3, 5, class_token=True, num_register_tokens=2)
    got, plain = values(layer(images)), PatchEmbedding(3, 5)
    plain.build(images.shape)
    plain.projection.set_weights(layer.projection.get_weights())
    np.testing.assert_allclose(got[:, 3:], values(plain(images)), atol=1e-6)
    for sample in got:
        np.testing.assert_array_equal(sample[:1], values(layer.class_embedding)[0])
        np.testing.assert_array_equal(sample[1:3], values(layer.register_embedding)[0])
    assert len(np.unique(got[0, :3].ravel())) == 15
    assert layer.compute_output_shape((None, 6, 9, 2)) == (None, 9, 5)


def test_one_seedless_initializer_gives_unequal_learned_tokens():
    layer = PatchEmbedding(
        2, 4, class_token=True, num_register_tokens=1, token_initializer=keras.initializers.RandomNormal()
    )
    layer.build((None, 4, 4, 1))
    assert (values(layer.class_embedding) != values(layer.register_embedding)).any()


def test_unknown_sizes_take_images_of_several_sizes(rng):
    inputs = keras.Input((None, None, 1))
    layer = PatchEmbedding(2, 3, class_token=True)
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, 3)
    for height, width in ((4, 6), (8, 2)):
        x = rng.standard_normal((2, height, width, 1)).astype("float32")
        expected = patch_loop(x, *parameters(layer), (2, 2))
        np.testing.assert_allclose(model.predict(x, verbose=0)[:, 1:], expected, atol=2e-6)


def test_images_stay_channels_last_whatever_the_global_format(images):
    layer = PatchEmbedding(3, 5)
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        got = values(layer(images))
    finally:
        keras.config.set_image_data_format(before)
    np.testing.assert_allclose(got, patch_loop(images, *parameters(layer), (3, 3)), atol=2e-6)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 7, 9, 1), r"height must be 3 and a multiple of 3 more.* received height=7.*height=6"),
        ((1, 6, 8, 1), r"width must be 3 and a multiple of 3 more.* received width=8.*width=9"),
        ((1, 2, 9, 1), r"received height=2.*height=3"),
        ((6, 9, 1), r"inputs must be images .* received inputs=\(6, 9, 1\)"),
    ],
)
def test_images_that_do_not_fit_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        PatchEmbedding(3, 4)(np.zeros(shape, "float32"))


def test_one_unknown_size_does_not_hide_a_wrong_one():
    with pytest.raises(ValueError, match="received height=7"):
        PatchEmbedding(3, 4)(keras.Input((7, None, 1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch_size": 0}, "patch_size must be an integer >= 1"),
        ({"patch_size": (4, 4, 4)}, r"patch_size must be an integer or \(height, width\)"),
        ({"embed_dim": 2.5}, "embed_dim must be an integer"),
        ({"strides": 5}, r"strides must not skip pixels .* received strides=\(5, 5\). Use at most \(4, 4\)"),
        ({"num_register_tokens": -1}, "num_register_tokens must be an integer >= 0"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        PatchEmbedding(**{"patch_size": 4, "embed_dim": 3, **arguments})
