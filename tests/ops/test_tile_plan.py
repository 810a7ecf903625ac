import itertools

import pytest

from keras_arch.ops.tile_plan import runs, seen_keys


@pytest.mark.parametrize(
    ("length", "memory", "causal", "window"),
    list(itertools.product([3, 7], [3, 7], [False, True], [None, 1, 3])),
)
def test_no_seen_key_is_left_out_and_no_more_than_needed_taken(length, memory, causal, window):
    for start, stop in runs(length, 2):
        seen = [
            s
            for s in range(memory)
            for t in range(start, stop)
            if not (causal and s > t + memory - length) and not (window and abs(t + memory - length - s) >= window)
        ]
        low, high = seen_keys(start, stop, length, memory, causal, window)
        assert 0 <= low < high <= memory
        if seen:
            assert (low, high) == (min(seen), max(seen) + 1)


def test_runs_cover_all_once():
    assert [t for start, stop in runs(11, 4) for t in range(start, stop)] == list(range(11))
