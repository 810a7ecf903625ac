"""Recurrences that are linear in their state, so that a whole sequence runs without a product per step."""

from types import ModuleType
from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.ops.precision import at_least_float32

Tensor = Any


def linear_recurrence(a: Tensor, b: Tensor, initial_state: Tensor = None, *, time_major: bool = False) -> Tensor:
    """All states of a linear recurrence with a diagonal transition.

    h[t] = a[t] h[t-1] + b[t],  t = 0 .. T-1, entry by entry.   B: batch, T: steps, may be unknown on TensorFlow.

    On TensorFlow it runs in chunks of unrolled steps, in time and memory proportional to T, and its gradient is a scan
    the other way, ḡ[t] = d[t] + a[t+1] ḡ[t+1], which nothing but a, b and h is kept for; it can be differentiated
    again, and compiles under XLA. `keras.ops.associative_scan`, used on JAX and PyTorch, does neither there (3.15).

    Args:
        a: floats, of b's shape, or of the shape (...) of one state for factors that stay the same at all steps.
        b: floats, (B, T, ...).
        initial_state: h[-1], (B, ...), or None for zeros.
        time_major: whether time is the first axis and the batch the second, (T, B, ...), which saves copies.
    Returns:
        All h, (B, T, ...), in b's dtype; computed in float32 at least.
    Raises:
        ValueError: if b has no time axis, or a shape does not match b's.

    >>> h = linear_recurrence(np.full((1, 3, 1), 0.5, "float32"), np.ones((1, 3, 1), "float32"))
    >>> keras.ops.convert_to_numpy(h).ravel().tolist()
    [1.0, 1.5, 1.75]
    """
    b = ops.convert_to_tensor(b)
    a, wide, state = _prepared(a, b, initial_state, time_major)
    return _in_order(_kernels().linear_recurrence(a, wide, state), b, time_major)


def complex_linear_recurrence(
    a: Tensor, b: Tensor, initial_state: Tensor = None, *, time_major: bool = False
) -> Tensor:
    """All states of a linear recurrence of complex numbers, all real parts before all imaginary ones on the last axis.

    Args:
        a: like a of `linear_recurrence`; N complex numbers are (..., 2 N) floats.
        b: floats, (B, T, ..., 2 N).
        initial_state: (B, ..., 2 N).
        time_major: whether time is the first axis and the batch the second, (T, B, ...), which saves copies.
    Returns:
        All h, (B, T, ..., 2 N), in b's dtype; computed in float32 at least.
    Raises:
        ValueError: as `linear_recurrence`, and for a last axis without a middle.

    >>> turn = np.array([0.0, 1.0], "float32")  # i
    >>> b = np.array([[[1.0, 0.0], [0.0, 0.0]]], "float32")
    >>> keras.ops.convert_to_numpy(complex_linear_recurrence(turn, b)).tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
    """
    b = ops.convert_to_tensor(b)
    a, wide, state = _prepared(a, b, initial_state, time_major)
    if b.shape[-1] is None or b.shape[-1] % 2:
        rule = "must hold all real parts before all imaginary ones, (B, T, ..., 2 N)"
        raise check.refuse("b", rule, tuple(b.shape), "Concatenate both on the last axis.")
    return _in_order(_kernels().complex_linear_recurrence(a, wide, state), b, time_major)


def gated_recurrence(
    logits: Tensor, candidates: Tensor, initial_state: Tensor = None, *, time_major: bool = False
) -> Tensor:
    """All states of a recurrence that moves towards a candidate by the share that a gate lets through.

    h[t] = h[t-1] + σ(l[t]) (c[t] − h[t-1]) = (1 − σ(l[t])) h[t-1] + σ(l[t]) c[t]

    The `linear_recurrence` of minimal gated units, with gate and gradient computed inside its chunks. Logits of −inf
    keep the state.

    Args:
        logits: l, floats, (B, T, ...).   B: batch, T: steps.
        candidates: c, of the same shape.
        initial_state: h[-1], (B, ...), or None for zeros.
        time_major: whether time is the first axis and the batch the second, (T, B, ...), which saves copies.
    Returns:
        All h, (B, T, ...), in the candidates' dtype; computed in float32 at least.
    Raises:
        ValueError: as `linear_recurrence`.

    >>> h = gated_recurrence(np.zeros((1, 3, 1), "float32"), np.ones((1, 3, 1), "float32"))
    >>> keras.ops.convert_to_numpy(h).ravel().tolist()
    [0.5, 0.75, 0.875]
    """
    candidates = ops.convert_to_tensor(candidates)
    logits, wide, state = _prepared(logits, candidates, initial_state, time_major)
    if len(logits.shape) != len(candidates.shape):
        raise check.refuse(
            "logits", "must have the shape of candidates", tuple(logits.shape), "Give each step its own."
        )
    return _in_order(_kernels().gated_recurrence(logits, wide, state), candidates, time_major)


def input_share_logits(input_logits: Tensor, forget_logits: Tensor) -> Tensor:
    """Logits of the input gate's share of both gates: σ(result) = σ(i) / (σ(i) + σ(f)).

    Computed as log σ(i) − log σ(f), in float32 at least, which neither overflows nor divides by zero.

    Args:
        input_logits: i, floats of any shape.
        forget_logits: f, of the same shape.
    Returns:
        float32 tensor (float64 for float64) of that shape.

    >>> float(input_share_logits(np.float32(0.0), np.float32(0.0)))
    0.0
    """
    wide = at_least_float32(input_logits.dtype)
    enter, keep = (ops.cast(logits, wide) for logits in (input_logits, forget_logits))
    return ops.softplus(-keep) - ops.softplus(-enter)


def hold(x: Tensor, mask: Tensor, *, time_major: bool = False) -> Tensor:
    """At masked steps repeat the last step that counts, zeros before the first.

    Args:
        x: floats, (B, T, D).
        mask: bool (B, T), True where a step counts.
        time_major: whether both come with time first, (T, B, D) and (T, B).
    Returns:
        Tensor of x's shape and dtype.

    >>> held = hold(np.array([[[1.0], [2.0], [3.0]]], "float32"), np.array([[True, False, True]]))
    >>> keras.ops.convert_to_numpy(held).ravel().tolist()
    [1.0, 1.0, 3.0]
    """
    counts = ops.cast(mask, x.dtype)[..., None]
    keeps = ops.broadcast_to(1 - counts, ops.shape(x))
    return linear_recurrence(keeps, ops.where(counts > 0, x, 0), time_major=time_major)


def _prepared(a: Tensor, b: Tensor, state: Tensor, time_major: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Factors, terms and initial state, time first, in float32 (float64 for float64), checked against each other."""
    if len(b.shape) < 2:
        advice = "Pass a batch of sequences, such as (1, T, 1)."
        axes = "a time and a batch axis (T, B, ...)" if time_major else "a batch and a time axis (B, T, ...)"
        raise check.refuse("b", f"must have {axes}", tuple(b.shape), advice)
    dtype = at_least_float32(b.dtype)
    a = ops.cast(ops.convert_to_tensor(a), dtype)
    if not (_match(a.shape, b.shape) or _match(a.shape, b.shape[2:])):
        rule = f"must have the shape of b, {tuple(b.shape)}, or of one state, {tuple(b.shape[2:])}"
        raise check.refuse("a", rule, tuple(a.shape), "Broadcast it first.")
    if not time_major:
        a = _swapped(a) if len(a.shape) == len(b.shape) else a
        b = _swapped(b)
    state = ops.zeros_like(b[0], dtype=dtype) if state is None else ops.cast(ops.convert_to_tensor(state), dtype)
    wanted = tuple(b.shape[1:])
    if not _match(state.shape, wanted):
        advice = "Pass one state for each sample."
        raise check.refuse("initial_state", f"must have the shape {wanted}", tuple(state.shape), advice)
    return a, ops.cast(b, dtype), state


def _in_order(h: Tensor, b: Tensor, time_major: bool) -> Tensor:
    """A result with time first as the terms came."""
    return ops.cast(h if time_major else _swapped(h), b.dtype)


def _swapped(x: Tensor) -> Tensor:
    return ops.swapaxes(x, 0, 1)


def _match(first: tuple, second: tuple) -> bool:
    """Whether two shapes can be the same, None standing for any size."""
    return len(first) == len(second) and all(
        m == n or m is None or n is None for m, n in zip(first, second, strict=True)
    )


def _kernels() -> ModuleType:
    if keras.backend.backend() == "tensorflow":
        from keras_arch.ops.backend.tensorflow import recurrence
    else:
        from keras_arch.ops.backend.generic import recurrence
    return recurrence
