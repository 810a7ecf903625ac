"""The arithmetic of one step of the cell that neural architecture search found."""

from typing import Any

from keras import ops

from keras_arch.ops.precision import at_least_float32

Tensor = Any


def nas_step(from_inputs: Tensor, from_state: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
    """One step of the NAS cell, before any projection.

    a_k = p_k + q_k for the eight gates k = 0 .. 7, except a_3 = p_3 q_3
    g = tanh(tanh(σ(a_0) relu(a_1)) + c)
    c' = g tanh(σ(a_2) + relu(a_3))
    h' = tanh(c' tanh(tanh(tanh(a_4) σ(a_5)) + σ(tanh(a_6) + σ(a_7))))

    B: batch size, N: units. Everything is float32 (float64 for float64).

    Args:
        from_inputs: p = x W, shape (B, 8 N), the gates in their order.
        from_state: q = h U + b, likewise.
        carry: c, shape (B, N).
    Returns:
        h' and c', float32 or float64, shape (B, N) each.
    Source: Zoph and Le 2017, arXiv:1611.01578, figure 8, the tree of base 8, in the form of TensorFlow Addons.

    >>> h, c = nas_step(np.zeros((2, 24)), np.zeros((2, 24)), np.zeros((2, 3)))
    >>> tuple(h.shape), float(c[0, 0])
    ((2, 3), 0.0)
    """
    wide = at_least_float32(from_inputs.dtype)
    p, q, carry = (ops.cast(x, wide) for x in (from_inputs, from_state, carry))
    units = carry.shape[-1]
    a0, a1, a2, _, a4, a5, a6, a7 = ops.split(p + q, 8, axis=-1)  # (B, N) each
    a3 = p[:, 3 * units : 4 * units] * q[:, 3 * units : 4 * units]
    injected = ops.tanh(ops.tanh(ops.sigmoid(a0) * ops.relu(a1)) + carry)
    carry = injected * ops.tanh(ops.sigmoid(a2) + ops.relu(a3))
    other = ops.tanh(ops.tanh(a4) * ops.sigmoid(a5)) + ops.sigmoid(ops.tanh(a6) + ops.sigmoid(a7))
    return ops.tanh(carry * ops.tanh(other)), carry
