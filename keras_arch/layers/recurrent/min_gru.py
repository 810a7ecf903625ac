"""The minimal gated recurrent unit."""

from typing import Any

from keras import ops

from keras_arch.core.registration import register
from keras_arch.layers.recurrent.gated_parallel_recurrence import GatedParallelRecurrence
from keras_arch.ops.recurrence import gated_recurrence

Tensor = Any


@register
class MinGRU(GatedParallelRecurrence):
    """Gated recurrent unit whose gate and candidate see the inputs alone, so that all steps run in parallel.

    z[t] = σ(x[t] W_z + b_z),  c[t] = φ(x[t] W_c + b_c),  h[t] = (1 − z[t]) h[t-1] + z[t] c[t];  the output is h.

    x: inputs (B, T, D), h: state (B, N), φ: `activation`.   B: batch, T: steps, may be unknown, D: features, N: units.

    Two products of the whole sequence and a linear scan take the place of `keras.layers.GRU`'s product per step; time
    and memory grow with T. The products are sublayers `gates[0]` and `candidate`, both `keras.layers.Dense`. The scan
    runs in float32 at least. Masked steps keep the state and repeat the output before them; `initial_state`,
    `stateful`, `go_backwards` and `keras.layers.Bidirectional` work as for `keras.layers.GRU`. For one step at a time,
    call it on (B, 1, D) with the state of the call before.

    Args:
        units: N, >= 1.
        activation: φ, a Keras activation; None is the identity, as in the paper.
        use_bias: whether to add b_z and b_c.
        kernel_initializer: for W_z and W_c.
        bias_initializer: for b_c.
        gate_bias_initializer: for b_z. Negative values remember longer.
        kernel_regularizer: for W_z and W_c.
        bias_regularizer: for b_z and b_c.
        kernel_constraint: for W_z and W_c.
        bias_constraint: for b_z and b_c.
        return_sequences: whether to return the outputs of all steps and not only the last.
        return_state: whether to return the last state too.
        go_backwards: whether to run from the last step to the first.
        stateful: whether a call starts from the state that the call before ended with.
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.
    Raises:
        ValueError: for units < 1; at the call, for a state or an input of another shape.
    Source: Feng et al. 2024, arXiv:2410.01201, section 3.1.1. The paper trains in log space with a positive candidate;
    here the recurrence runs as it is written, with any candidate.

    >>> tuple(MinGRU(4, return_sequences=True)(np.ones((2, 5, 3))).shape)
    (2, 5, 4)
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        gate_bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            ("gate",),
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            gate_bias_initializer=gate_bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            **kwargs,
        )

    def recur(self, inputs: Tensor, states: list[Tensor], mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """All h (T, B, N), and the last."""
        logits, candidates = self.products(inputs)
        if mask is not None:
            logits = ops.where(mask[..., None], logits, float("-inf"))
        h = gated_recurrence(logits, candidates, states[0], time_major=True)
        return h, [h[-1]]
