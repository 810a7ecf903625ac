"""Attention maps of whole models: those that their layers return by hand, in order, saved and measured."""

import keras
import numpy as np
import pytest

import keras_arch as ka
from keras_arch.explain.attention.attention_maps import AttentionMaps, attention_maps, layer_paths

L = keras.layers


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.backend
def test_maps_of_a_stack_equal_what_each_layer_returns_by_hand(rng):
    x = rng.normal(size=(5, 6, 8)).astype("float32")
    inputs = keras.Input((6, 8))
    shared = L.MultiHeadAttention(2, 4, name="shared")
    block = ka.layers.TransformerEncoderBlock(2, 16, name="block")
    y = shared(inputs, inputs)
    y = block(y)
    y = L.Attention(name="plain")([y, y])
    model = keras.Model(inputs, shared(y, y))
    maps = attention_maps(model, x, batch_size=4)
    first, a = shared(x, x, return_attention_scores=True)
    second, b = block(first, return_attention_scores=True)
    third, c = model.get_layer("plain")([second, second], return_attention_scores=True)
    _, d = shared(third, third, return_attention_scores=True)
    want = {"shared:0": numpy(a), "block/attention": numpy(b), "plain": numpy(c)[:, None], "shared:1": numpy(d)}
    assert list(maps.weights) == list(want)
    for path, weights in maps.weights.items():
        assert weights.dtype == np.float32
        np.testing.assert_allclose(weights, want[path], rtol=1e-5, atol=1e-6)
    assert len(maps) == 5


@pytest.mark.backend
def test_cross_attention_has_other_queries_than_keys(rng):
    x, memory = (rng.normal(size=(2, n, 8)).astype("float32") for n in (3, 5))
    inputs, source = keras.Input((3, 8)), keras.Input((5, 8))
    block = ka.layers.TransformerDecoderBlock(2, 16, name="block")
    model = keras.Model([inputs, source], block(inputs, source))
    maps = attention_maps(model, [x, memory])
    _, own, cross = block(x, memory, return_attention_scores=True)
    np.testing.assert_allclose(maps.weights["block/attention"], numpy(own), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maps.weights["block/cross_attention"], numpy(cross), rtol=1e-5, atol=1e-6)
    assert maps.weights["block/cross_attention"].shape == (2, 2, 3, 5)


@pytest.mark.backend
def test_layers_are_chosen_by_name_object_or_what_is_around(rng):
    inputs = keras.Input((4, 8))
    tower = keras.Sequential([keras.Input((4, 8)), ka.layers.TransformerEncoderBlock(2, 8, name="block")], name="tower")
    last = L.MultiHeadAttention(1, 4, name="last")
    hidden = tower(inputs)
    model, x = keras.Model(inputs, last(hidden, hidden)), np.ones((1, 4, 8))
    assert list(attention_maps(model, x, "tower").weights) == ["tower/block/attention"]
    assert list(attention_maps(model, x, last).weights) == ["last"]
    assert list(attention_maps(model, x, ["last", "block"]).weights) == ["tower/block/attention", "last"]
    assert layer_paths(model, [last, "block"]) == ("last", "tower/block")
    with pytest.raises(ValueError, match="layer must name a layer of the model; received layer='lost'"):
        attention_maps(model, x, "lost")


@pytest.mark.backend
def test_half_precision_gives_float32_maps(rng):
    policy = "mixed_bfloat16" if keras.backend.backend() == "jax" else "mixed_float16"  # JAX's CPU has no float16
    inputs = keras.Input((4, 8))
    layer = L.MultiHeadAttention(2, 4, dtype=policy, name="look")
    maps = attention_maps(keras.Model(inputs, layer(inputs, inputs)), rng.normal(size=(2, 4, 8)))
    assert maps.weights["look"].dtype == np.float32
    np.testing.assert_allclose(maps.weights["look"].sum(-1), 1, atol=1e-2)


class Windows(keras.Model):
    """Attention inside windows of two steps, which stand on the batch axis."""

    def __init__(self):
        super().__init__()
        self.look = L.MultiHeadAttention(2, 4, name="look")

    def call(self, x):
        windows = keras.ops.reshape(x, (-1, 2, x.shape[-1]))
        return keras.ops.reshape(self.look(windows, windows), keras.ops.shape(x))


@pytest.mark.backend
def test_windows_on_the_batch_axis_are_given_back_to_their_samples(rng):
    model, x = Windows(), rng.normal(size=(3, 6, 8)).astype("float32")
    weights = attention_maps(model, x).weights["look"]
    assert weights.shape == (3, 3, 2, 2, 2)
    want = numpy(model.look(x[1:2, 2:4], x[1:2, 2:4], return_attention_scores=True)[1])[0]
    np.testing.assert_allclose(weights[1, 1], want, rtol=1e-5, atol=1e-6)


def test_entropy_is_zero_for_one_key_and_log_s_for_all_alike():
    weights = np.zeros((3, 2, 4, 4), "float32")
    weights[0, 0] = np.eye(4)
    weights[0, 1] = 0.25
    weights[1, :, :2, :2] = 0.5  # two queries see nothing
    got = AttentionMaps({"look": weights}).entropy()["look"]
    np.testing.assert_allclose(got[:2], [[0, np.log(4)], [np.log(2), np.log(2)]], rtol=1e-6, atol=1e-7)
    assert np.isnan(got[2]).all()


def test_maps_are_indexed_saved_and_printed(tmp_path, rng):
    maps = AttentionMaps({"b/a": rng.random((3, 1, 2, 2)).astype("float32"), "a:0": np.ones((3, 1, 1, 2), "float32")})
    assert repr(maps) == "AttentionMaps(3 samples, b/a (3, 1, 2, 2), a:0 (3, 1, 1, 2))"
    np.testing.assert_array_equal(maps[-1].weights["b/a"], maps.weights["b/a"][2:])
    assert len(maps[:2]) == 2
    assert list(maps[np.array([True, False, True])].weights) == ["b/a", "a:0"]
    with pytest.raises(IndexError, match="sample 3 is out of range"):
        maps[3]
    maps.save(tmp_path / "maps.npz")
    loaded = AttentionMaps.load(tmp_path / "maps.npz")
    assert list(loaded.weights) == list(maps.weights)
    for path, weights in loaded.weights.items():
        np.testing.assert_array_equal(weights, maps.weights[path])
    with pytest.raises(ValueError, match=r"path must end in \.npz"):
        maps.save(tmp_path / "maps.png")
    np.savez(tmp_path / "other.npz", x=np.ones(2))
    with pytest.raises(ValueError, match=r"path must be a file of AttentionMaps\.save"):
        AttentionMaps.load(tmp_path / "other.npz")


@pytest.mark.backend
def test_what_is_no_model_or_has_no_attention_is_refused():
    with pytest.raises(ValueError, match=r"model must be a keras\.Model"):
        attention_maps(L.Dense(1), np.ones((1, 2)))
    with pytest.raises(ValueError, match="model must have an attention layer"):
        attention_maps(keras.Sequential([L.Dense(1)]), np.ones((1, 2)))
