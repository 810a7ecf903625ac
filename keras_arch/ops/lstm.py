"""The arithmetic of one long short-term memory step, apart from any layer."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

Tensor = Any


class Norm(NamedTuple):
    """Gain and shift of one layer normalization.

    Args:
        gamma: gain, shape (N,).
        beta: shift, shape (N,).

    >>> Norm(gamma=np.ones(4), beta=np.zeros(4)).gamma.shape
    (4,)
    """

    gamma: Tensor
    beta: Tensor


def precise(x: Tensor) -> str:
    """The dtype to compute statistics of a tensor in: float32, or its own if that is wider.

    >>> precise(np.zeros(1, "float16")), precise(np.zeros(1, "float64"))
    ('float32', 'float64')
    """
    return keras.backend.result_type(x.dtype, "float32")


def standardize(x: Tensor, epsilon: float) -> Tensor:
    """Shift and scale each row to mean 0 and variance 1.

    y = (x − mean(x)) / sqrt(var(x) + epsilon), over the last axis, in float32 at least: the squares of float16 values
    above 255 overflow.

    Args:
        x: floats of any precision, shape (..., N).
        epsilon: added to the variance, so that a constant row becomes zeros.
    Returns:
        float32 tensor (float64 for float64), shape (..., N).
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450, without gain and shift.

    >>> np.round(standardize(np.array([[1.0, 3.0]]), epsilon=0.0), 3).tolist()
    [[-1.0, 1.0]]
    """
    x = ops.cast(x, precise(x))
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    return centred * ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + epsilon)


def layer_norm_lstm_step(
    from_inputs: Tensor,
    from_state: Tensor,
    carry: Tensor,
    bias: Tensor | None,
    norms: tuple[Norm, Norm, Norm],
    epsilon: float,
    activation: Callable[[Tensor], Tensor],
    recurrent_activation: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """One step of a long short-term memory with layer normalization.

    [i, f, g, o] = norm_1(x W) + norm_2(h U) + b
    c' = norm_3(σ(f) c + σ(i) φ(g)),  h' = σ(o) φ(c')
    norm_k(v) = gamma_k (v − mean(v)) / sqrt(var(v) + epsilon) + beta_k, over all 4 N gate entries (k = 1, 2) or all
    N units (k = 3). B: batch size, N: units.

    Everything here is float32 (float64 for float64): sums over many steps and row statistics lose digits in half
    precision.

    Args:
        from_inputs: x W, shape (B, 4 N), the gates in the order input, forget, candidate, output.
        from_state: h U, shape (B, 4 N).
        carry: c, shape (B, N).
        bias: b, shape (4 N,), or None.
        norms: gain and shift for the inputs, the state and the carry.
        epsilon: added to each variance.
        activation: φ.
        recurrent_activation: σ.
    Returns:
        h' and c', float32 or float64, shape (B, N) each.
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450, equations 20 to 22. There c' stays as it is and only h' sees
    its normalized value; here, as in TensorFlow Addons, the normalized value is carried on as well.

    >>> norms = Norm(np.ones(8), np.zeros(8)), Norm(np.ones(8), np.zeros(8)), Norm(np.ones(2), np.zeros(2))
    >>> h, c = layer_norm_lstm_step(
    ...     np.ones((3, 8)), np.zeros((3, 8)), np.array([[0.0, 2.0]] * 3), None, norms, 1e-6, np.tanh, np.sign
    ... )
    >>> tuple(h.shape), tuple(c.shape)
    ((3, 2), (3, 2))
    """
    dtype = precise(from_inputs)
    of_inputs, of_state, of_carry = (Norm(*(ops.cast(v, dtype) for v in norm)) for norm in norms)
    # One vector for three shifts: the row operations below run once a time step.
    shift = of_inputs.beta + of_state.beta
    if bias is not None:
        shift = shift + ops.cast(bias, dtype)
    gates = standardize(from_inputs, epsilon) * of_inputs.gamma + standardize(from_state, epsilon) * of_state.gamma
    enter, keep, candidate, leave = ops.split(gates + shift, 4, axis=-1)  # (B, N) each
    carry = recurrent_activation(keep) * ops.cast(carry, dtype) + recurrent_activation(enter) * activation(candidate)
    carry = standardize(carry, epsilon) * of_carry.gamma + of_carry.beta
    return recurrent_activation(leave) * activation(carry), carry
