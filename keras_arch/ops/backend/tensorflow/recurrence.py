"""Linear recurrences by a scan in chunks, with gradients of their own: scans the other way."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_arch.ops.backend.tensorflow.chunked_scan import chunked_scan


@tf.autograph.experimental.do_not_convert
def linear_recurrence(a: Any, b: Any, initial_state: Any) -> Any:
    """h[t] = a[t] h[t-1] + b[t] along axis 1, differentiable any number of times.

    Args:
        a: float32, float64 or complex, of b's shape, or (...) for the same at all steps.
        b: (B, T, ...).
        initial_state: h[-1], (B, ...).
    Returns:
        All h, (B, T, ...).
    """
    _, h = _scan(a, b, initial_state)
    return _with_gradient(a, b, initial_state, h)


@tf.autograph.experimental.do_not_convert
def complex_linear_recurrence(a: tuple, b: tuple, initial_state: tuple) -> tuple[Any, Any]:
    """What `linear_recurrence` computes, of complex numbers as pairs of a real and an imaginary part.

    Args:
        a: a pair like a of `linear_recurrence`.
        b: a pair (B, T, ...).
        initial_state: a pair (B, ...).
    Returns:
        A pair (B, T, ...).
    """
    h = linear_recurrence(tf.complex(*a), tf.complex(*b), tf.complex(*initial_state))
    return tf.math.real(h), tf.math.imag(h)


@tf.autograph.experimental.do_not_convert
def adjoint_recurrence(a: Any, d: Any) -> Any:
    """g[t] = d[t] + conj(a[t+1]) g[t+1] along axis 1: the gradient of `linear_recurrence` with respect to b.

    Args:
        a: as for `linear_recurrence`.
        d: gradient of all h, (B, T, ...).
    Returns:
        All g, (B, T, ...).
    """
    _, g = _scan(_conj(a), d, tf.zeros_like(d[:, 0]), adjoint=True)
    return _with_adjoint_gradient(a, d, g)


@tf.autograph.experimental.do_not_convert
def gated_recurrence(logits: Any, candidates: Any, initial_state: Any) -> Any:
    """h[t] = h[t-1] + σ(l[t]) (c[t] − h[t-1]) along axis 1, differentiable any number of times.

    Args:
        logits: l, float32 or float64, (B, T, ...).
        candidates: c, (B, T, ...).
        initial_state: h[-1], (B, ...).
    Returns:
        All h, (B, T, ...).
    """

    def step(h: Any, gate: Any, candidate: Any) -> tuple:
        h = h + gate * (candidate - h)
        return h, h

    _, h = chunked_scan(
        step, initial_state, (logits, candidates), 1, before=lambda logit, candidate: (tf.sigmoid(logit), candidate)
    )
    return _with_gated_gradient(logits, candidates, initial_state, h)


def _scan(a: Any, b: Any, state: Any, adjoint: bool = False) -> tuple:
    """The numbers of a recurrence, or of its adjoint, without a gradient."""
    varying = a.shape.rank == b.shape.rank
    constant = None if varying else tf.stop_gradient(a)

    def step(h: Any, term: Any, factor: Any = constant) -> tuple:
        h = factor * h + term
        return h, h

    def adjoint_step(carried: Any, term: Any, factor: Any = constant) -> tuple:
        g = term + carried
        return factor * g, g

    return chunked_scan(adjoint_step if adjoint else step, state, (b, a) if varying else (b,), 1, reverse=adjoint)


# A loop watched by a tape collects accumulators at once, which XLA refuses: so the loops run on numbers, and the
# functions below give their results a gradient, h and g going through unchanged. Called once more in the gradient, they
# give it a result that can be differentiated itself.


@tf.custom_gradient
def _with_gradient(a: Any, b: Any, initial_state: Any, h: Any) -> tuple[Any, Callable]:
    def gradient(d_h: Any) -> tuple:
        g = adjoint_recurrence(a, d_h)
        before = _previous(_with_gradient(a, b, initial_state, h), initial_state)
        first = _conj(a[:, 0] if a.shape.rank == b.shape.rank else a)
        return _like(a, _conj(before) * g), g, first * g[:, 0], None

    return tf.identity(h), gradient


@tf.custom_gradient
def _with_adjoint_gradient(a: Any, d: Any, g: Any) -> tuple[Any, Callable]:
    def gradient(d_g: Any) -> tuple:
        nothing = tf.zeros_like(d[:, 0])
        along = linear_recurrence(a, d_g, nothing)
        d_a = _conj(_previous(along, nothing)) * _with_adjoint_gradient(a, d, g)
        return _like(a, d_a), along, None

    return tf.identity(g), gradient


@tf.custom_gradient
def _with_gated_gradient(logits: Any, candidates: Any, initial_state: Any, h: Any) -> tuple[Any, Callable]:
    def gradient(d_h: Any) -> tuple:
        whole = _with_gated_gradient(logits, candidates, initial_state, h)
        return *_gated_gradients(logits, candidates, initial_state, whole, d_h), None

    return tf.identity(h), gradient


@tf.custom_gradient
def _gated_gradients(*given: Any) -> tuple[tuple[Any, Any, Any], Callable]:
    """Gradients of `gated_recurrence` from its arguments, its result and the gradient of that, in one scan."""
    logits, candidates, initial_state, h, d_h = given

    def step(carried: Any, gate: Any, d: Any) -> tuple:
        g = d + carried
        d_candidate = gate * g
        return g - d_candidate, g, d_candidate

    def after(g: Any, d_candidate: Any, gate: Any, *rest: Any) -> tuple:
        _, _, candidate, _, before = rest
        return tf.raw_ops.SigmoidGrad(y=gate, dy=g * (candidate - before)), d_candidate

    d_initial_state, d_logits, d_candidates = chunked_scan(
        step,
        tf.zeros_like(d_h[:, 0]),
        (logits, candidates, d_h, _previous(h, initial_state)),
        2,
        before=lambda logit, _, d, __: (tf.sigmoid(logit), d),
        after=after,
        reverse=True,
    )

    def gradient(*d: Any) -> list:
        with tf.GradientTape() as tape:
            tape.watch(given)
            results = _gated_gradients_by_recurrence(*given)
        return tape.gradient(results, given, d, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return (d_logits, d_candidates, d_initial_state), gradient


def _gated_gradients_by_recurrence(logits: Any, candidates: Any, initial_state: Any, h: Any, d_h: Any) -> tuple:
    """What `_gated_gradients` computes, by operations that can be differentiated."""
    gate = tf.sigmoid(logits)
    g = adjoint_recurrence(1 - gate, d_h)
    d_logits = g * gate * (1 - gate) * (candidates - _previous(h, initial_state))
    return d_logits, g * gate, (1 - gate[:, 0]) * g[:, 0]


def _previous(h: Any, initial_state: Any) -> Any:
    """h[t-1] at each t."""
    return tf.concat([initial_state[:, None], h[:, :-1]], axis=1)


def _conj(x: Any) -> Any:
    return tf.math.conj(x) if x.dtype.is_complex else x


def _like(a: Any, gradient: Any) -> Any:
    """Sum a gradient over the axes that `a` lacks."""
    return tf.reduce_sum(gradient, (0, 1)) if a.shape.rank < gradient.shape.rank else gradient
