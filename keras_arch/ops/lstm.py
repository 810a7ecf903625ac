"""The arithmetic of one long short-term memory step, apart from any layer."""

from collections.abc import Callable

from keras import ops

from keras_arch.ops.layer_norm import Norm, Tensor, scaled
from keras_arch.ops.precision import at_least_float32


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
    dtype = at_least_float32(from_inputs.dtype)
    of_inputs, of_state, of_carry = norms
    # One vector for three shifts: the row operations below run once a time step.
    shift = ops.cast(of_inputs.beta, dtype) + ops.cast(of_state.beta, dtype)
    if bias is not None:
        shift = shift + ops.cast(bias, dtype)
    gates = scaled(from_inputs, of_inputs.gamma, epsilon) + scaled(from_state, of_state.gamma, epsilon) + shift
    enter, keep, candidate, leave = ops.split(gates, 4, axis=-1)  # (B, N) each
    carry = recurrent_activation(keep) * ops.cast(carry, dtype) + recurrent_activation(enter) * activation(candidate)
    carry = scaled(carry, of_carry.gamma, epsilon) + ops.cast(of_carry.beta, dtype)
    return recurrent_activation(leave) * activation(carry), carry


def peephole_lstm_step(
    gates: Tensor,
    carry: Tensor,
    peepholes: tuple[Tensor, Tensor, Tensor],
    activation: Callable[[Tensor], Tensor],
    recurrent_activation: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """One step of a long short-term memory whose gates see its cell state.

    i = σ(z_i + p_i c),  f = σ(z_f + p_f c)
    c' = f c + i φ(z_g)
    o = σ(z_o + p_o c'),  h' = o φ(c')
    B: batch size, N: units. Everything here is float32 (float64 for float64).

    Args:
        gates: z = x W + h U + b, shape (B, 4 N), in the order input, forget, candidate, output.
        carry: c, shape (B, N).
        peepholes: p of the input, the forget and the output gate, shape (N,) each.
        activation: φ.
        recurrent_activation: σ.
    Returns:
        h' and c', float32 or float64, shape (B, N) each.
    Source: Gers, Schraudolph and Schmidhuber 2002, "Learning precise timing with LSTM recurrent networks".

    >>> h, c = peephole_lstm_step(np.zeros((1, 8)), np.ones((1, 2)), (1.0, 1.0, 1.0), np.tanh, np.sign)
    >>> np.asarray(c).tolist()
    [[1.0, 1.0]]
    """
    dtype = at_least_float32(gates.dtype)
    carry = ops.cast(carry, dtype)
    to_enter, to_keep, to_leave = (ops.cast(p, dtype) for p in peepholes)
    enter, keep, candidate, leave = ops.split(ops.cast(gates, dtype), 4, axis=-1)  # (B, N) each
    enter = recurrent_activation(enter + to_enter * carry)
    keep = recurrent_activation(keep + to_keep * carry)
    carry = keep * carry + enter * activation(candidate)
    return recurrent_activation(leave + to_leave * carry) * activation(carry), carry


def coupled_gate_lstm_step(
    gates: Tensor,
    carry: Tensor,
    activation: Callable[[Tensor], Tensor],
    recurrent_activation: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """One step of a long short-term memory that forgets as much as it takes in.

    [f, g, o] = [σ(z_f), φ(z_g), σ(z_o)]
    c' = f c + (1 − f) g,  h' = o φ(c')
    B: batch size, N: units. Everything here is float32 (float64 for float64).

    Args:
        gates: z = x W + h U + b, shape (B, 3 N), in the order forget, candidate, output.
        carry: c, shape (B, N).
        activation: φ.
        recurrent_activation: σ.
    Returns:
        h' and c', float32 or float64, shape (B, N) each.
    Source: Greff et al. 2017, arXiv:1503.04069, the variant CIFG, here without peepholes.

    >>> h, c = coupled_gate_lstm_step(np.ones((1, 6)), np.full((1, 2), 5.0), np.tanh, np.sign)
    >>> np.asarray(c).tolist()
    [[5.0, 5.0]]
    """
    dtype = at_least_float32(gates.dtype)
    keep, candidate, leave = ops.split(ops.cast(gates, dtype), 3, axis=-1)  # (B, N) each
    candidate = activation(candidate)
    carry = candidate + recurrent_activation(keep) * (ops.cast(carry, dtype) - candidate)
    return recurrent_activation(leave) * activation(carry), carry
