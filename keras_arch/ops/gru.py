"""The arithmetic of one step of gated recurrent units, apart from any layer."""

from collections.abc import Callable

from keras import ops

from keras_arch.ops.layer_norm import Norm, Tensor, scaled
from keras_arch.ops.precision import at_least_float32


def layer_norm_gru_step(
    from_inputs: Tensor,
    state: Tensor,
    seen: Tensor,
    recurrent_kernel: Tensor,
    biases: tuple[Tensor | None, Tensor | None],
    norms: tuple[Norm, Norm, Norm, Norm],
    epsilon: float,
    activation: Callable[[Tensor], Tensor],
    recurrent_activation: Callable[[Tensor], Tensor],
    reset_after: bool,
) -> Tensor:
    """One step of gated recurrent units with layer normalization.

    [z, r] = σ(norm_1(x W_zr) + b_zr + norm_2(h U_zr) + d_zr)
    n = φ(norm_3(x W_n) + b_n + r (norm_4(h U_n) + d_n))    if reset_after
    n = φ(norm_3(x W_n) + b_n + norm_4((r h) U_n) + d_n)    otherwise
    h' = z h + (1 − z) n
    norm_k(v) = gamma_k (v − mean(v)) / sqrt(var(v) + epsilon) + beta_k, over the 2 N gate entries of a row (k = 1, 2)
    or the N candidate entries (k = 3, 4). B: batch size, N: units.

    The products are in the dtype of U, everything else here is float32 (float64 for float64).

    Args:
        from_inputs: x W, shape (B, 3 N), in the order update, reset, candidate.
        state: h, shape (B, N).
        seen: what U sees of h, shape (B, N): h itself, or h with units dropped.
        recurrent_kernel: U, shape (N, 3 N).
        biases: b and d, shape (3 N,) or None each.
        norms: gain and shift of norm_1 to norm_4, shape (2 N,) for the gates' two and (N,) for the candidate's.
        epsilon: added to each variance.
        activation: φ.
        recurrent_activation: σ.
        reset_after: whether r scales the product with U_n or what enters it.
    Returns:
        h', float32 or float64, shape (B, N).
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450, supplementary material, for reset_after, with z and 1 − z
    exchanged as in Keras.

    >>> ones = np.ones((1, 6))
    >>> norms = [Norm(np.ones(size), np.zeros(size)) for size in (4, 4, 2, 2)]
    >>> h = np.array([[3.0, 5.0]])
    >>> np.asarray(layer_norm_gru_step(
    ...     ones, h, h, np.zeros((2, 6)), (None, None), norms, 1e-3, np.tanh, lambda v: v + 0.5, True
    ... )).tolist()
    [[1.5, 2.5]]
    """
    dtype = at_least_float32(from_inputs.dtype)
    units = state.shape[-1]

    def gates_and_candidate(x: Tensor) -> list[Tensor]:
        return ops.split(x, [2 * units], axis=-1)

    norms = [Norm(norm.gamma, ops.cast(norm.beta, dtype)) for norm in norms]
    gate_shift, shifts = norms[0].beta + norms[1].beta, [norms[2].beta, norms[3].beta]
    for i, bias in enumerate(biases):
        if bias is not None:
            of_gates, of_candidate = gates_and_candidate(ops.cast(bias, dtype))
            gate_shift, shifts[i] = gate_shift + of_gates, shifts[i] + of_candidate
    gates, candidate = gates_and_candidate(from_inputs)  # (B, 2 N), (B, N)
    if reset_after:
        seen_by_gates, seen = gates_and_candidate(ops.matmul(seen, recurrent_kernel))  # (B, 2 N), (B, N)
    else:
        to_gates, to_candidate = gates_and_candidate(recurrent_kernel)
        seen_by_gates = ops.matmul(seen, to_gates)
    gates = scaled(gates, norms[0].gamma, epsilon) + scaled(seen_by_gates, norms[1].gamma, epsilon) + gate_shift
    update, reset = ops.split(recurrent_activation(gates), 2, axis=-1)  # (B, N) each
    if reset_after:
        from_state = reset * (scaled(seen, norms[3].gamma, epsilon) + shifts[1])
    else:
        kept = ops.cast(reset * ops.cast(seen, dtype), recurrent_kernel.dtype)
        from_state = scaled(ops.matmul(kept, to_candidate), norms[3].gamma, epsilon) + shifts[1]
    candidate = activation(scaled(candidate, norms[2].gamma, epsilon) + shifts[0] + from_state)
    return candidate + update * (ops.cast(state, dtype) - candidate)
