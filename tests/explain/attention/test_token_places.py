"""Where tokens lie in inputs: sequences, images, what a patch embedding says, and what is refused."""

import keras
import numpy as np
import pytest

import keras_arch as ka
from keras_arch.explain.attention.token_places import TokenPlaces, token_places

pytestmark = pytest.mark.backend
PLAIN = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])


@pytest.mark.parametrize(
    ("shape", "tokens", "want"),
    [
        ((2, 7), 7, TokenPlaces(0, (7,), (7,), False)),
        ((2, 7), 8, TokenPlaces(1, (7,), (7,), False)),
        ((2, 7, 3), 7, TokenPlaces(0, (7,), (7,), True)),
        ((2, 8, 8, 3), 16, TokenPlaces(0, (4, 4), (8, 8), True)),
        ((2, 8, 8, 3), 17, TokenPlaces(1, (4, 4), (8, 8), True)),
        ((2, 8, 8, 3), 9, TokenPlaces(5, (2, 2), (8, 8), True)),  # 3 x 3 leaves no whole patches
        ((2, 8, 16, 1), 10, TokenPlaces(2, (2, 4), (8, 16), True)),
        ((2, 224, 224, 3), 201, TokenPlaces(5, (14, 14), (224, 224), True)),
        ((2, 4, 8, 8, 1), 33, TokenPlaces(1, (2, 4, 4), (4, 8, 8), True)),
    ],
)
def test_the_grid_of_the_inputs_aspect_that_leaves_the_fewest_tokens(shape, tokens, want):
    assert token_places(PLAIN, np.zeros(shape), tokens) == want


def test_the_first_input_that_fits_counts():
    inputs = {"picture": np.zeros((1, 5, 5, 3)), "ids": np.zeros((1, 6), "int32")}
    assert token_places(PLAIN, inputs, 6, prefix=0).size == (6,)


def test_a_given_grid_and_prefix_are_taken():
    image = np.zeros((1, 8, 8, 3))
    assert token_places(PLAIN, image, 9, grid=(2, 4)) == TokenPlaces(1, (2, 4), (8, 8), True)
    assert token_places(PLAIN, image, 17, prefix=13).grid == (2, 2)
    assert token_places(PLAIN, np.zeros((1, 10)), 5, grid=(5,)) == TokenPlaces(0, (5,), (10,), False)


def test_a_patch_embedding_says_its_grid():
    embedding = ka.layers.PatchEmbedding((2, 4), 6, class_token=True, num_register_tokens=3)
    model = keras.Sequential([keras.Input((8, 8, 1)), embedding])
    assert token_places(model, np.zeros((1, 8, 8, 1)), 12) == TokenPlaces(4, (4, 2), (8, 8), True)
    scaled = keras.Sequential([keras.Input((9, 9, 1)), keras.layers.Resizing(8, 8), embedding])
    with pytest.raises(ValueError, match="grid must say how the 12 tokens"):
        token_places(scaled, np.zeros((1, 9, 9, 1)), 12, prefix=4)


@pytest.mark.parametrize(
    ("shape", "tokens", "settings"),
    [
        ((1, 8, 8, 3), 16, {"grid": (5, 4)}),
        ((1, 8, 8, 3), 16, {"grid": (16,)}),
        ((1, 8, 8, 3), 16, {"grid": (4, 4), "prefix": 1}),
        ((1, 9), 8, {}),
        ((1, 9), 11, {"prefix": 1}),
        ((1,), 4, {}),
    ],
)
def test_tokens_that_fit_no_input_are_refused(shape, tokens, settings):
    with pytest.raises(ValueError, match=f"grid must say how the {tokens} tokens .* Pass grid="):
        token_places(PLAIN, np.zeros(shape), tokens, **settings)


def test_values_are_spread_over_the_input():
    places = TokenPlaces(1, (2, 2), (4, 4), True)
    values = np.array([[9.0, 1.0, 2.0, 3.0, 4.0]], "float32")
    assert places.spread(values, None)[0, ..., 0].tolist() == [[1, 2], [3, 4]]
    want = np.kron([[1, 2], [3, 4]], np.ones((2, 2)))
    np.testing.assert_array_equal(places.spread(values, "nearest")[0, ..., 0], want)
    linear = places.spread(values, "linear")
    assert linear.shape == (1, 4, 4, 1)
    assert linear.dtype == np.float32
    np.testing.assert_allclose(linear[0, 0, :, 0], [1, 1.25, 1.75, 2])
    ids = TokenPlaces(0, (3,), (3,), False).spread(np.ones((2, 3), "float32"), "linear")
    assert ids.shape == (2, 3)
