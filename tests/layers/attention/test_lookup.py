import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import KVCache, RotaryEmbedding
from keras_arch.layers.attention.lookup import look_up, look_up_cached, order_masks
from keras_arch.ops.attention import causal_mask, window_mask

pytestmark = pytest.mark.backend

OPTIONS = {"query_positions": None, "key_positions": None, "causal": True, "window": None}


def values(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.fixture
def heads(rng):
    """query (1, 3, 2, 4) and key, value (1, 5, 2, 4)"""
    return [ops.convert_to_tensor(rng.standard_normal((1, t, 2, 4)).astype("float32")) for t in (3, 5, 5)]


def test_the_last_query_turns_with_the_last_key(heads):
    query, key, value = heads
    rotary = RotaryEmbedding()
    seen = look_up(query, key, value, (), rotary=rotary, **OPTIONS)
    np.testing.assert_allclose(values(seen.query), values(rotary(query, start_index=2)), atol=1e-6)
    np.testing.assert_allclose(values(seen.key), values(rotary(key)), atol=1e-6)


def test_positions_of_queries_are_those_of_equally_many_keys(heads):
    places = np.array([4, 2, 7])
    query, key = heads[0], heads[1][:, :3]
    seen = look_up(query, key, key, (), rotary=RotaryEmbedding(), **{**OPTIONS, "query_positions": places})
    np.testing.assert_allclose(values(seen.key), values(RotaryEmbedding()(key, positions=places)), atol=1e-6)
    assert seen.key_positions is places


def test_dynamic_scaling_knows_the_longest_position(heads):
    rotary = RotaryEmbedding(scaling={"type": "dynamic", "factor": 2.0, "original_length": 2})
    places = np.array([0, 1, 9])
    query = heads[0]
    seen = look_up(query, query, query, (), rotary=rotary, **{**OPTIONS, "query_positions": places})
    np.testing.assert_allclose(values(seen.query), values(rotary(query, positions=places, length=10)), atol=1e-6)


@pytest.mark.parametrize("kind", ["growing", "static", "sliding"])
def test_masks_hide_later_and_missing_steps(kind, heads):
    sizes = {"growing": {}, "static": {"max_length": 6}, "sliding": {"window": 2}}[kind]
    cache = getattr(KVCache, kind)(1, 2, 4, **sizes)
    _, cache = cache.extended(*(x[:, :3] for x in heads[1:]))
    seen = look_up_cached(heads[0][:, :2], *(x[:, 3:] for x in heads[1:]), None, cache, rotary=None, **OPTIONS)
    visible = np.broadcast_to(True, (1, 1, 2, seen.key.shape[1]))
    for mask in seen.masks:
        visible = visible & values(mask)
    if seen.causal:
        visible = visible & values(causal_mask(2, seen.key.shape[1]))
    lists = {"growing": [[0, 1, 2, 3], [0, 1, 2, 3, 4]], "sliding": [[1, 2, 3], [1, 2, 3, 4]]}
    order = {"growing": range(5), "static": range(6), "sliding": (1, 2, 3, 4)}[kind]
    shown = [[step for step, see in zip(order, row, strict=True) if see] for row in visible[0, 0]]
    assert shown == lists.get(kind, lists["growing"])


def test_steps_that_do_not_pair_with_queries_are_refused(heads):
    cache = KVCache.growing(1, 2, 4)
    with pytest.raises(ValueError, match="value must have the steps of the query"):
        look_up_cached(*heads, None, cache, rotary=None, **OPTIONS)


def test_order_masks_are_those_of_the_ops(heads):
    query, key, _ = heads
    causal, window = order_masks(query, key, (1, 1), True, 2)
    np.testing.assert_array_equal(values(causal), values(causal_mask(3, 5)))
    np.testing.assert_array_equal(values(window), values(window_mask(3, 5, 2)))
    assert order_masks(query, key, (1, 1), False, None) == []


def test_a_length_that_no_rotary_needs_is_not_passed(heads):
    class Still(keras.layers.Layer):
        def call(self, inputs, start_index=0, positions=None):
            return inputs

    seen = look_up(*heads, (), rotary=Still(), **OPTIONS)
    np.testing.assert_array_equal(values(seen.query), values(heads[0]))
