"""RISE against loops over masks and closed forms of linear models."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.perturbation import grown_mask

from keras_arch.explain.perturbation.layout import layouts
from keras_arch.explain.perturbation.random_masks import grow
from keras_arch.explain.perturbation.rise import RISE

pytestmark = pytest.mark.backend
L = keras.layers


def net(shape):
    return keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(6, "tanh"), L.Dense(3, "softmax")])


@pytest.mark.parametrize("shape", [(9, 2), (8, 6, 2), (4, 5, 6, 1)])
def test_values_equal_a_loop_over_masks(shape, rng):
    model, x = net(shape), rng.normal(size=(2, *shape)).astype("float32")
    method = RISE(masks=20, grid=3, keep=0.4, baseline=0.5, seed=5)
    got = method.explain(model, x, target=1)
    (drawn,) = method._drawn(x, layouts(x, "channels_last"))
    want = np.zeros((2, *shape[:-1]))
    for mask in range(20):
        grown = grown_mask(drawn.cells[mask].astype(float), tuple(drawn.shifts[mask]), shape[:-1])
        seen = x * grown[None, ..., None] + 0.5 * (1 - grown[None, ..., None])
        scores = ops.convert_to_numpy(model(seen.astype("float32")))[:, 1]
        want += scores.reshape(-1, *[1] * grown.ndim) * grown
    np.testing.assert_allclose(got.values[..., 0], want / (20 * 0.4), atol=1e-5)
    assert got.values.shape == (2, *shape[:-1], 1)
    assert got.values.dtype == np.float32


def test_a_linear_model_of_a_vector_comes_near_its_expectation(rng):
    weights = rng.normal(size=(6, 1)).astype("float32")
    model = keras.Sequential([keras.Input((6,)), L.Dense(1, use_bias=False)])
    model.layers[0].set_weights([weights])
    x = rng.normal(size=(2, 6)).astype("float32")
    got = RISE(masks=8000, keep=0.3).explain(model, x).values
    parts = x * weights[:, 0]
    want = 0.3 * parts.sum(1, keepdims=True) + 0.7 * parts  # E[m_i m_j] / p = p, or 1 for i = j
    np.testing.assert_allclose(got, want, atol=5 * np.abs(parts).sum(1).max() / np.sqrt(8000 * 0.3))


def test_a_constant_score_gives_it_everywhere():
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), L.GlobalAveragePooling2D(), L.Dense(1, kernel_initializer="zeros")]
    )
    model.layers[-1].set_weights([np.zeros((1, 1), "float32"), np.full(1, 2.0, "float32")])
    got = RISE(masks=6000, grid=3).explain(model, np.ones((1, 6, 6, 1))).values
    np.testing.assert_allclose(got, 2.0, atol=0.1)


def test_token_ids_keep_their_own_or_take_the_baseline(rng):
    model = keras.Sequential([keras.Input((5,), dtype="int32"), L.Embedding(9, 4), L.Flatten(), L.Dense(2)])
    x = rng.integers(1, 9, (2, 5)).astype("int32")
    method = RISE(masks=30, baseline=0, seed=2)
    got = method.explain(model, x, target=1)
    (drawn,) = method._drawn(x, layouts(x, "channels_last"))
    masks = grow(np, *drawn.parts(np.arange(30)))
    assert set(np.unique(masks)) == {0.0, 1.0}
    seen = np.where(masks[:, None] > 0, x, 0).reshape(-1, 5).astype("int32")
    scores = ops.convert_to_numpy(model(seen))[:, 1].reshape(30, 2)
    np.testing.assert_allclose(got.values, scores.T @ masks / 15, atol=1e-5)


def test_several_inputs_are_masked_at_once_each_by_its_own_masks(rng):
    a, b = keras.Input((6, 2)), keras.Input((3,))
    model = keras.Model([a, b], L.Dense(2)(L.Dense(5, "tanh")(L.Concatenate()([L.Flatten()(a), b]))))
    x = [rng.normal(size=(2, 6, 2)).astype("float32"), rng.normal(size=(2, 3)).astype("float32")]
    method = RISE(masks=25, grid=2)
    got = method.explain(model, x, 0)
    drawn = method._drawn(x, layouts(x, "channels_last"))
    masks = [grow(np, *one.parts(np.arange(25))) for one in drawn]
    seen = [(x[0][:, None] * masks[0][None, ..., None]).reshape(50, 6, 2), (x[1][:, None] * masks[1]).reshape(50, 3)]
    scores = ops.convert_to_numpy(model(seen))[:, 0].reshape(2, 25)
    np.testing.assert_allclose(got.values[0][..., 0], scores @ masks[0] / 12.5, atol=1e-5)
    np.testing.assert_allclose(got.values[1], scores @ masks[1] / 12.5, atol=1e-5)


def test_channels_first_gives_the_same_map(rng):
    last = net((6, 5, 2))
    first_input = keras.Input((2, 6, 5))
    first = keras.Model(first_input, last(L.Permute((2, 3, 1))(first_input)))
    x = rng.normal(size=(2, 6, 5, 2)).astype("float32")
    want = RISE(masks=10, grid=3).explain(last, x, 0).values
    got = RISE(masks=10, grid=3, data_format="channels_first").explain(first, np.moveaxis(x, -1, 1), 0).values
    assert got.shape == (2, 1, 6, 5)
    np.testing.assert_allclose(np.moveaxis(got, 1, -1), want, atol=1e-6)


def test_an_answer_depends_on_the_seed_and_not_on_batch_mates_or_chunks(rng):
    model, x = net((6, 6, 1)), rng.normal(size=(5, 6, 6, 1)).astype("float32")
    method = RISE(masks=70, grid=3)
    whole = method.explain(model, x, 1).values
    np.testing.assert_allclose(method.explain(model, x, 1, batch_size=7).values, whole, atol=1e-6)
    np.testing.assert_allclose(method.explain(model, x[3:4], 1).values[0], whole[3], atol=1e-6)
    np.testing.assert_array_equal(method.explain(model, x, 1).values, whole)
    assert np.abs(RISE(masks=70, grid=3, seed=1).explain(model, x, 1).values - whole).max() > 1e-3


def test_the_map_is_high_where_the_model_looks(rng):
    kernel = np.zeros((16, 16, 1), "float32")
    kernel[2:6, 9:13] = 1 / 16
    model = keras.Sequential([keras.Input((16, 16, 1)), L.Flatten(), L.Dense(1, "sigmoid")])
    model.layers[-1].set_weights([8 * kernel.reshape(-1, 1), np.full(1, -4.0, "float32")])
    got = RISE(masks=1000, grid=5).explain(model, np.ones((1, 16, 16, 1))).values[0, ..., 0]
    top = got >= np.sort(got.ravel())[-16]
    assert (top & (kernel[..., 0] > 0)).sum() >= 12


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"masks": 0}, "masks must be an integer >= 1"),
        ({"grid": 0}, "grid must be an integer >= 1"),
        ({"keep": 0.0}, r"keep must be a number in \(0, 1\)"),
        ({"keep": 1.0}, r"keep must be a number in \(0, 1\)"),
        ({"seed": -1}, "seed must be an integer >= 0"),
        ({"data_format": "last"}, "data_format must be one of"),
    ],
)
def test_bad_settings_are_named(settings, match):
    with pytest.raises(ValueError, match=match):
        RISE(**settings)
