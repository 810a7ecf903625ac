import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import KVCache
from keras_arch.layers.attention.kv_cache import known_integer

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(tensor)


def caches():
    return {
        "growing": KVCache.growing(2, 3, 4, 5),
        "static": KVCache.static(2, 3, 4, 5, max_length=8),
        "sliding": KVCache.sliding(2, 3, 4, 5, window=3),
    }


def steps(rng, sizes=(2, 1, 4)):
    """Chunks of keys (2, t, 3, 4), values (2, t, 3, 5) and masks (2, t)."""
    for size in sizes:
        yield (
            rng.standard_normal((2, size, 3, 4)).astype("float32"),
            rng.standard_normal((2, size, 3, 5)).astype("float32"),
            rng.random((2, size)) < 0.7,
        )


@pytest.mark.parametrize("kind", ["growing", "static", "sliding"])
def test_slots_hold_the_steps_that_their_order_says(kind, rng):
    cache, keys, kept, masks = caches()[kind], [], [], []
    for key, value, mask in steps(rng):
        seen, cache = cache.extended(key, value, mask=mask)
        keys, kept, masks = [*keys, key], [*kept, value], [*masks, mask]
        whole = [np.concatenate(parts, axis=1) for parts in (keys, kept, masks)]
        for held in (seen, cache):
            assert int(values(held.length)) == whole[0].shape[1]
            for slot, step in enumerate(values(held.order)):
                if 0 <= step < whole[0].shape[1]:
                    np.testing.assert_array_equal(values(held.key)[:, slot], whole[0][:, step])
                    np.testing.assert_array_equal(values(held.value)[:, slot], whole[1][:, step])
                    np.testing.assert_array_equal(values(held.mask)[:, slot], whole[2][:, step])
                    np.testing.assert_array_equal(values(held.positions)[:, slot], [step] * 2)
                else:
                    assert not values(held.mask)[:, slot].any()
        newest = {"growing": 7, "static": 7, "sliding": 3}[kind]
        steps_held = [step for step in values(cache.order) if 0 <= step < whole[0].shape[1]]
        assert steps_held == list(range(whole[0].shape[1]))[-newest:]
        new = set(range(whole[0].shape[1] - key.shape[1], whole[0].shape[1]))
        assert new <= set(values(seen.order).tolist())  # what the new queries attend to has all new steps


def test_given_positions_are_kept(rng):
    key, value, _ = next(steps(rng))
    _, cache = caches()["growing"].extended(key, value, positions=np.array([[7, 8], [0, 1]]))
    np.testing.assert_array_equal(values(cache.positions), [[7, 8], [0, 1]])


def test_a_static_cache_says_when_it_is_full(rng):
    cache = KVCache.static(2, 3, 4, 5, max_length=3)
    (key, value, _), (one, more, _), _ = steps(rng)
    _, cache = cache.extended(key, value)
    _, cache = cache.extended(one, more)
    with pytest.raises(ValueError, match=r"max_length=3 that holds 3 steps, and 1 more\. Make it with max_length=4"):
        cache.extended(one, more)


def test_another_batch_is_refused(rng):
    key, value, _ = next(steps(rng))
    with pytest.raises(ValueError, match="cache must have the batch size of the query"):
        caches()["growing"].extended(key[:1], value[:1])


@pytest.mark.parametrize("arguments", [{"max_length": 0}, {"max_length": 2.0}])
def test_slots_are_counted(arguments):
    with pytest.raises(ValueError, match="max_length must be an integer >= 1"):
        KVCache.static(1, 1, 1, **arguments)
    with pytest.raises(ValueError, match="window must be an integer >= 1"):
        KVCache.sliding(1, 1, 1, window=0)
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1"):
        KVCache.growing(0, 1, 1)


@pytest.mark.parametrize("kind", ["growing", "static", "sliding"])
def test_a_cache_is_a_nest_of_its_own_kind(kind):
    cache = caches()[kind]
    again = keras.tree.map_structure(lambda tensor: tensor, cache)
    assert type(again) is type(cache)
    assert again.kind == kind
    assert len(keras.tree.flatten(cache)) == 5


def test_what_a_cache_says_of_itself():
    assert repr(caches()["static"]) == "KVCache(static, 0 steps, key (2, 8, 3, 4), value (2, 8, 3, 5), float32)"
    assert "bfloat16" in repr(KVCache.growing(1, 1, 1, dtype="bfloat16"))


def test_known_integers():
    assert known_integer(ops.convert_to_tensor(5)) == 5
    assert known_integer(keras.KerasTensor((), "int32")) is None
