"""Biases of attention scores, one entry at a time."""

import decimal

import numpy as np

DIGITS = decimal.Context(prec=60)


def alibi_slope(head, heads):
    """The paper's geometric sequences, walked head by head."""
    if heads & (heads - 1) == 0:
        return 2.0 ** (-8.0 * (head + 1) / heads)
    power = 2 ** int(np.floor(np.log2(heads)))
    if head < power:
        return alibi_slope(head, power)
    return alibi_slope(2 * (head - power), 2 * power)


def alibi(heads, queries, keys, causal=False):
    """Bias (N, T, S) in Python floats; hidden keys are -inf."""
    table = np.zeros((heads, len(queries), len(keys)))
    for n in range(heads):
        for t, query in enumerate(queries):
            for s, key in enumerate(keys):
                hidden = causal and key > query
                table[n, t, s] = -np.inf if hidden else -alibi_slope(n, heads) * abs(int(query) - int(key))
    return table


def t5_bucket(relative, num_buckets, max_distance, bidirectional):
    """Bucket of one relative position (key minus query), with logarithms of 60 digits."""
    offset, distance = 0, -relative
    if bidirectional:
        num_buckets //= 2
        offset = num_buckets if relative > 0 else 0
        distance = abs(relative)
    distance, exact = max(distance, 0), num_buckets // 2
    if distance < exact:
        return offset + distance
    ratio = (decimal.Decimal(distance) / exact).ln(DIGITS) / (decimal.Decimal(max_distance) / exact).ln(DIGITS)
    step = int(ratio * (num_buckets - exact) + decimal.Decimal("1e-20"))  # an edge is a whole number, never just below
    return offset + min(exact + step, num_buckets - 1)


def window_bias(table, window, class_token=False):
    """Bias (N, T, T) of a window from a table by offset (row, column), then class to patch, patch to class, class."""
    rows, columns = window
    offsets = [(r, c) for r in range(1 - rows, rows) for c in range(1 - columns, columns)]
    cells = [None] * class_token + [(r, c) for r in range(rows) for c in range(columns)]
    bias = np.zeros((table.shape[1], len(cells), len(cells)), table.dtype)
    for t, query in enumerate(cells):
        for s, key in enumerate(cells):
            if query is None or key is None:
                entry = len(offsets) + (2 if query is key else 0 if query is None else 1)
            else:
                entry = offsets.index((query[0] - key[0], query[1] - key[1]))
            bias[:, t, s] = table[entry]
    return bias
