"""Linear recurrences in keras.ops, where the backend differentiates and compiles a scan itself. Time comes first."""

from typing import Any

from keras import ops


def linear_recurrence(a: Any, b: Any, initial_state: Any) -> Any:
    """h[t] = a[t] h[t-1] + b[t] along axis 0, in about log2(T) passes over the sequence.

    Args:
        a: float, of b's shape, or (...) for the same at all steps.
        b: (T, B, ...).
        initial_state: h[-1], (B, ...).
    Returns:
        All h, (T, B, ...).
    """
    a = ops.broadcast_to(a, ops.shape(b))
    first = a[:1] * initial_state[None] + b[:1]
    b = ops.concatenate([first, b[1:]], axis=0)

    def after(earlier: tuple, later: tuple) -> tuple:
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    return ops.associative_scan(after, (a, b), axis=0)[1]


def complex_linear_recurrence(a: Any, b: Any, initial_state: Any) -> Any:
    """What `linear_recurrence` computes, of complex numbers, all real parts before all imaginary ones.

    Args:
        a: of b's shape, or (..., 2 N) for the same at all steps.
        b: (T, B, ..., 2 N).
        initial_state: h[-1], (B, ..., 2 N).
    Returns:
        All h, (T, B, ..., 2 N).
    """
    a, b, state = (ops.split(x, 2, axis=-1) for x in (ops.broadcast_to(a, ops.shape(b)), b, initial_state))
    first = _product([part[:1] for part in a], [part[None] for part in state])
    b = [ops.concatenate([start + part[:1], part[1:]], axis=0) for start, part in zip(first, b, strict=True)]

    def after(earlier: tuple, later: tuple) -> tuple:
        carried = _product(later[:2], earlier[2:])
        return *_product(earlier[:2], later[:2]), carried[0] + later[2], carried[1] + later[3]

    return ops.concatenate(ops.associative_scan(after, (*a, *b), axis=0)[2:], axis=-1)


def gated_recurrence(logits: Any, candidates: Any, initial_state: Any) -> Any:
    """h[t] = h[t-1] + σ(l[t]) (c[t] − h[t-1]) along axis 0.

    Args:
        logits: l, float, (T, B, ...).
        candidates: c, (T, B, ...).
        initial_state: h[-1], (B, ...).
    Returns:
        All h, (T, B, ...).
    """
    gates = ops.sigmoid(logits)
    return linear_recurrence(1 - gates, gates * candidates, initial_state)


def _product(x: Any, y: Any) -> tuple[Any, Any]:
    """(x0 + i x1) (y0 + i y1)"""
    return x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]
