"""Linear recurrences by a scan in chunks, with gradients of their own: scans the other way. Time is the first axis."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_arch.ops.backend.tensorflow.chunked_scan import chunked_scan


@tf.autograph.experimental.do_not_convert
def linear_recurrence(a: Any, b: Any, initial_state: Any) -> Any:
    """h[t] = a[t] h[t-1] + b[t] along axis 0, differentiable any number of times.

    Args:
        a: float32, float64 or complex, of b's shape, or (...) for the same at all steps.
        b: (T, B, ...).
        initial_state: h[-1], (B, ...).
    Returns:
        All h, (T, B, ...).
    """
    _, h = _scan(a, b, initial_state)
    return _with_gradient(a, b, initial_state, h)


@tf.autograph.experimental.do_not_convert
def complex_linear_recurrence(a: Any, b: Any, initial_state: Any) -> Any:
    """What `linear_recurrence` computes, of complex numbers, all real parts before all imaginary ones.

    Args:
        a: float32 or float64, of b's shape, or (..., 2 N) for the same at all steps.
        b: (T, B, ..., 2 N).
        initial_state: h[-1], (B, ..., 2 N).
    Returns:
        All h, (T, B, ..., 2 N).
    """
    if a.shape.rank == b.shape.rank:
        return _apart(linear_recurrence(_joint(a), _joint(b), _joint(initial_state)))
    numbers = _joint(tf.stop_gradient(initial_state))
    factor = tf.broadcast_to(_joint(tf.stop_gradient(a)), tf.shape(numbers))

    def step(h: Any, term: Any) -> tuple:
        h = factor * h + term
        return h, h

    _, h = chunked_scan(
        step,
        numbers,
        (b,),
        (initial_state,),
        before=lambda term: (_joint(term),),
        after=lambda entering, h, *_: (_apart(h),),
    )
    return _with_complex_gradient(a, b, initial_state, h)


@tf.autograph.experimental.do_not_convert
def adjoint_recurrence(a: Any, d: Any) -> Any:
    """g[t] = d[t] + conj(a[t+1]) g[t+1] along axis 0: the gradient of `linear_recurrence` with respect to b.

    Args:
        a: as for `linear_recurrence`.
        d: gradient of all h, (T, B, ...).
    Returns:
        All g, (T, B, ...).
    """
    _, g = _scan(_conj(a), d, tf.zeros_like(d[0]), adjoint=True)
    return _with_adjoint_gradient(a, d, g)


@tf.autograph.experimental.do_not_convert
def gated_recurrence(logits: Any, candidates: Any, initial_state: Any) -> Any:
    """h[t] = h[t-1] + σ(l[t]) (c[t] − h[t-1]) along axis 0, differentiable any number of times.

    Args:
        logits: l, float32 or float64, (T, B, ...).
        candidates: c, (T, B, ...).
        initial_state: h[-1], (B, ...).
    Returns:
        All h, (T, B, ...).
    """

    def step(h: Any, gate: Any, candidate: Any) -> tuple:
        h = h + gate * (candidate - h)
        return h, h

    gates = tf.sigmoid(tf.stop_gradient(logits))
    _, h = chunked_scan(step, initial_state, (gates, candidates), (initial_state,))
    return _with_gated_gradient(logits, candidates, initial_state, h, gates)


def _scan(a: Any, b: Any, state: Any, adjoint: bool = False) -> tuple:
    """The numbers of a recurrence, or of its adjoint, without a gradient."""
    varying = a.shape.rank == b.shape.rank
    # A product of two equal shapes takes a sixth of the time of one that is broadcast.
    constant = None if varying else tf.broadcast_to(tf.stop_gradient(a), tf.shape(state))

    def step(h: Any, term: Any, factor: Any = constant) -> tuple:
        h = factor * h + term
        return h, h

    def adjoint_step(carried: Any, term: Any, factor: Any = constant) -> tuple:
        g = term + carried
        return factor * g, g

    sequences = (b, a) if varying else (b,)
    return chunked_scan(adjoint_step if adjoint else step, state, sequences, (state,), reverse=adjoint)


# A loop watched by a tape collects accumulators at once, which XLA refuses: so the loops run on numbers, and the
# functions below give their results a gradient, h and g going through unchanged. Called once more in the gradient, they
# give it a result that can be differentiated itself.


@tf.custom_gradient
def _with_gradient(a: Any, b: Any, initial_state: Any, h: Any) -> tuple[Any, Callable]:
    def gradient(d_h: Any) -> tuple:
        g = adjoint_recurrence(a, d_h)
        before = _previous(_with_gradient(a, b, initial_state, h), initial_state)
        first = _conj(a[0] if a.shape.rank == b.shape.rank else a)
        return _like(a, _conj(before) * g), g, first * g[0], None

    return tf.identity(h), gradient


@tf.custom_gradient
def _with_adjoint_gradient(a: Any, d: Any, g: Any) -> tuple[Any, Callable]:
    def gradient(d_g: Any) -> tuple:
        nothing = tf.zeros_like(d[0])
        along = linear_recurrence(a, d_g, nothing)
        d_a = _conj(_previous(along, nothing)) * _with_adjoint_gradient(a, d, g)
        return _like(a, d_a), along, None

    return tf.identity(g), gradient


@tf.custom_gradient
def _with_gated_gradient(logits: Any, candidates: Any, initial_state: Any, h: Any, gates: Any) -> tuple[Any, Callable]:
    def gradient(d_h: Any) -> tuple:
        whole = _with_gated_gradient(logits, candidates, initial_state, h, gates)
        return *_gated_gradients(logits, candidates, initial_state, whole, d_h, gates), None, None

    return tf.identity(h), gradient


@tf.custom_gradient
def _gated_gradients(*given: Any) -> tuple[tuple[Any, Any, Any], Callable]:
    """Gradients of `gated_recurrence` from its arguments, its result and the gradient of that, in one scan.

    The last argument, σ(l), is what the first says already.
    """
    _, candidates, initial_state, h, d_h, gates = given

    def step(carried: Any, keep: Any, d: Any) -> tuple:
        g = d + carried
        return keep * g, g

    def after(_: Any, g: Any, *rest: Any) -> tuple:
        *_, gate, candidate, __, before = rest
        return tf.raw_ops.SigmoidGrad(y=gate, dy=g * (candidate - before)), gate * g

    d_initial_state, d_logits, d_candidates = chunked_scan(
        step,
        tf.zeros_like(d_h[0]),
        (gates, candidates, d_h, _previous(h, initial_state)),
        (initial_state, initial_state),
        before=lambda gate, _, d, __: (1 - gate, d),
        after=after,
        reverse=True,
    )

    def gradient(*d: Any) -> list:
        with tf.GradientTape() as tape:
            tape.watch(given[:-1])
            results = _gated_gradients_by_recurrence(*given[:-1])
        return [*tape.gradient(results, given[:-1], d, unconnected_gradients=tf.UnconnectedGradients.ZERO), None]

    return (d_logits, d_candidates, d_initial_state), gradient


def _gated_gradients_by_recurrence(logits: Any, candidates: Any, initial_state: Any, h: Any, d_h: Any) -> tuple:
    """What `_gated_gradients` computes, by operations that can be differentiated."""
    gate = tf.sigmoid(logits)
    g = adjoint_recurrence(1 - gate, d_h)
    d_logits = g * gate * (1 - gate) * (candidates - _previous(h, initial_state))
    return d_logits, g * gate, (1 - gate[0]) * g[0]


@tf.custom_gradient
def _with_complex_gradient(a: Any, b: Any, initial_state: Any, h: Any) -> tuple[Any, Callable]:
    def gradient(d_h: Any) -> tuple:
        return *_complex_gradients(a, initial_state, _with_complex_gradient(a, b, initial_state, h), d_h), None

    return tf.identity(h), gradient


@tf.custom_gradient
def _complex_gradients(*given: Any) -> tuple[tuple[Any, Any, Any], Callable]:
    """Gradients of `complex_linear_recurrence` with the same factors at all steps, in one scan.

    Given are a, the initial state, the result and the gradient of that, all with real before imaginary parts.
    """
    a, initial_state, h, d_h = given
    first = _joint(initial_state)
    factor = tf.broadcast_to(tf.math.conj(_joint(a)), tf.shape(first))

    def step(later: Any, d: Any) -> tuple:
        g = d + factor * later
        return g, g

    def after(entering: Any, g: Any, _: Any, __: Any, h: Any) -> tuple:
        later = tf.concat([g[1:], entering[None]], axis=0)
        return _apart(g), tf.reduce_sum(tf.math.conj(_joint(h)) * later, (0, 1))

    start = tf.zeros_like(first)
    g, d_b, d_a = chunked_scan(
        step,
        start,
        (d_h, h),
        (initial_state,),
        before=lambda d, _: (_joint(d),),
        after=after,
        sums=(start[0],),
        reverse=True,
    )
    d_a += tf.reduce_sum(tf.math.conj(first) * g, 0)

    def gradient(*d: Any) -> list:
        with tf.GradientTape() as tape:
            tape.watch(given)
            results = _complex_gradients_by_recurrence(*given)
        return tape.gradient(results, given, d, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return (_apart(d_a), d_b, _apart(factor * g)), gradient


def _complex_gradients_by_recurrence(a: Any, initial_state: Any, h: Any, d_h: Any) -> tuple:
    """What `_complex_gradients` computes, by operations that can be differentiated."""
    factor, first = _joint(a), _joint(initial_state)
    g = adjoint_recurrence(factor, _joint(d_h))
    d_a = _like(factor, tf.math.conj(_previous(_joint(h), first)) * g)
    return _apart(d_a), _apart(g), _apart(tf.math.conj(factor) * g[0])


def _joint(parts: Any) -> Any:
    """Complex numbers (..., N) from their real parts before their imaginary ones, (..., 2 N)."""
    return tf.complex(*tf.split(parts, 2, axis=-1))


def _apart(numbers: Any) -> Any:
    """(..., N) complex -> (..., 2 N)"""
    return tf.concat([tf.math.real(numbers), tf.math.imag(numbers)], axis=-1)


def _previous(h: Any, initial_state: Any) -> Any:
    """h[t-1] at each t."""
    return tf.concat([initial_state[None], h[:-1]], axis=0)


def _conj(x: Any) -> Any:
    return tf.math.conj(x) if x.dtype.is_complex else x


def _like(a: Any, gradient: Any) -> Any:
    """Sum a gradient over the axes that `a` lacks."""
    return tf.reduce_sum(gradient, (0, 1)) if a.shape.rank < gradient.shape.rank else gradient
