"""Linear recurrences in keras.ops, for backends that differentiate and compile a scan themselves."""

from typing import Any

from keras import ops


def linear_recurrence(a: Any, b: Any, initial_state: Any) -> Any:
    """h[t] = a[t] h[t-1] + b[t] along axis 1, in about log2(T) passes over the sequence.

    Args:
        a: float, of b's shape, or (...) for the same at all steps.
        b: (B, T, ...).
        initial_state: h[-1], (B, ...).
    Returns:
        All h, (B, T, ...).
    """
    a = ops.broadcast_to(a, ops.shape(b))
    first = a[:, :1] * initial_state[:, None] + b[:, :1]
    b = ops.concatenate([first, b[:, 1:]], axis=1)

    def after(earlier: tuple, later: tuple) -> tuple:
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    return ops.associative_scan(after, (a, b), axis=1)[1]


def complex_linear_recurrence(a: tuple, b: tuple, initial_state: tuple) -> tuple[Any, Any]:
    """What `linear_recurrence` computes, of complex numbers as pairs of a real and an imaginary part.

    Args:
        a: a pair like a of `linear_recurrence`.
        b: a pair (B, T, ...).
        initial_state: a pair (B, ...).
    Returns:
        A pair (B, T, ...).
    """
    shape = ops.shape(b[0])
    a = tuple(ops.broadcast_to(part, shape) for part in a)
    first = _product(tuple(part[:, :1] for part in a), tuple(part[:, None] for part in initial_state))
    b = tuple(ops.concatenate([start + part[:, :1], part[:, 1:]], axis=1) for start, part in zip(first, b, strict=True))

    def after(earlier: tuple, later: tuple) -> tuple:
        carried = _product(later[:2], earlier[2:])
        return *_product(earlier[:2], later[:2]), carried[0] + later[2], carried[1] + later[3]

    return tuple(ops.associative_scan(after, (*a, *b), axis=1)[2:])


def gated_recurrence(logits: Any, candidates: Any, initial_state: Any) -> Any:
    """h[t] = h[t-1] + σ(l[t]) (c[t] − h[t-1]) along axis 1.

    Args:
        logits: l, float, (B, T, ...).
        candidates: c, (B, T, ...).
        initial_state: h[-1], (B, ...).
    Returns:
        All h, (B, T, ...).
    """
    gates = ops.sigmoid(logits)
    return linear_recurrence(1 - gates, gates * candidates, initial_state)


def _product(x: tuple, y: tuple) -> tuple[Any, Any]:
    """(x0 + i x1) (y0 + i y1)"""
    return x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]
