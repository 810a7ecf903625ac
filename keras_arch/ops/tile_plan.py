"""Which keys a run of queries can see by their order."""


def seen_keys(
    start: int, stop: int, length: int, memory: int, causal: bool = False, window: int | None = None
) -> tuple[int, int]:
    """First and last (exclusive) key that the queries from `start` to `stop` can see; never none at all.

    The last query stands beside the last key.

    Args:
        start: first query of the run.
        stop: one after its last query.
        length: queries in all.
        memory: keys in all.
        causal: whether later keys are hidden.
        window: None, or how many steps before and after itself a query sees, its own included.
    Returns:
        (low, high), 0 <= low < high <= memory.

    >>> seen_keys(4, 6, 8, 8), seen_keys(4, 6, 8, 8, causal=True), seen_keys(4, 6, 8, 8, window=2)
    ((0, 8), (0, 6), (3, 7))
    """
    lead = memory - length
    low, high = 0, memory
    if causal:
        high = stop + lead
    if window is not None:
        low, high = start + lead - window + 1, min(high, stop + lead + window - 1)
    low = min(max(low, 0), memory - 1)
    return low, min(max(high, low + 1), memory)


def runs(length: int, size: int) -> list[tuple[int, int]]:
    """(start, stop) of runs of `size` queries that cover `length` of them; the last may be shorter.

    >>> runs(5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    return [(start, min(start + size, length)) for start in range(0, length, size)]
