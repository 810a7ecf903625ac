"""The linear recurrent unit."""

import math
from typing import Any

import keras
from keras import initializers, ops, regularizers

from keras_arch.core import check
from keras_arch.core.initializer import cloned
from keras_arch.core.registration import register
from keras_arch.layers.recurrent.parallel_recurrence import ParallelRecurrence
from keras_arch.ops.recurrence import complex_linear_recurrence, hold
from keras_arch.ops.unit_disk import decay_of, draw_decay, draw_phase, input_scale

Tensor = Any


@register
class LRU(ParallelRecurrence):
    """Linear recurrent unit: a stable diagonal recurrence of complex numbers between two products.

    s[t] = λ ⊙ s[t-1] + γ ⊙ (B x[t]),  y[t] = Re(C s[t]) + E x[t]
    λ = exp(−exp(ν) + i exp(θ)),  γ starts as sqrt(1 − |λ|²)

    x: inputs (B, T, D), s: complex state (N,), y: outputs (B, T, units); ν, θ and log γ: (N,), learned.   B: batch,
    T: steps, may be unknown, D: features, N: `state_dim`. |λ| < 1 whatever ν is, so states never grow without bound.

    The products with B and C are the sublayers `input_projection` and `output_projection`, `keras.layers.Dense` with
    the real parts before the imaginary ones (the sign of C's imaginary part is in its kernel). E is a vector where the
    inputs have `units` features, and else a `keras.layers.Dense`. There is no nonlinearity: the paper puts one, such as
    a gated linear unit, after each layer. λ and the scan are float32 at least. Masked steps keep the state and repeat
    the output before them. The state is given and returned as its real and its imaginary part (B, N). LiteRT has no
    complex numbers of its own: a file of this layer needs a runtime with the Select TensorFlow ops.

    Args:
        units: features of the output, >= 1.
        state_dim: N, >= 1; None takes units / 2, rounded up: as many real numbers as units.
        min_radius: least |λ| at the start, in [0, 1).
        max_radius: largest |λ| at the start, in (min_radius, 1). Close to 1 remembers over some 1 / (1 − |λ|) steps.
        max_phase: largest angle of λ at the start, in radians, in (0, 2 π]. Small ones help with long sequences.
        use_feedthrough: whether to add E x.
        kernel_initializer: for the kernel of B. None is a normal distribution of the variance 1 / (2 D), as in the
            paper.
        kernel_regularizer: for the kernels of B and C.
        seed: int or None, for λ and what the paper draws.
        return_sequences: whether to return the outputs of all steps and not only the last.
        return_state: whether to return the last state too: real part, imaginary part.
        go_backwards: whether to run from the last step to the first.
        stateful: whether a call starts from the state that the call before ended with.
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.
    Raises:
        ValueError: for sizes < 1 or radii and phases outside their intervals; at the call, for a state or an input of
            another shape.
    Source: Orvieto et al. 2023, arXiv:2303.06349, section 3 and appendix A. The paper draws N complex states for N
    outputs; half as many is the default here.

    >>> tuple(LRU(4, return_sequences=True, seed=0)(np.ones((2, 5, 3))).shape)
    (2, 5, 4)
    """

    def __init__(
        self,
        units: int,
        state_dim: int | None = None,
        min_radius: float = 0.9,
        max_radius: float = 0.999,
        max_phase: float = 2 * math.pi,
        use_feedthrough: bool = True,
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        units = check.integer("units", units)
        super().__init__(units, return_sequences, return_state, go_backwards, stateful, **kwargs)
        self.state_dim = (units + 1) // 2 if state_dim is None else check.integer("state_dim", state_dim)
        self.min_radius = check.real("min_radius", min_radius, minimum=0, maximum=1, open_maximum=True)
        self.max_radius = check.real(
            "max_radius", max_radius, minimum=self.min_radius, maximum=1, open_minimum=True, open_maximum=True
        )
        self.max_phase = check.real("max_phase", max_phase, minimum=0, maximum=2 * math.pi, open_minimum=True)
        self.use_feedthrough = bool(use_feedthrough)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.seed = seed

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Real and imaginary part of N features each."""
        return (self.state_dim, self.state_dim)

    def build(self, inputs_shape: tuple[int | None, ...], initial_state_shape: Any = None) -> None:
        """Create λ, the products and the feedthrough."""
        super().build(inputs_shape)
        features, size = inputs_shape[2], self.state_dim
        draws = keras.random.SeedGenerator(self.seed)

        def weight(name: str, initializer: Any, count: int = size) -> Any:
            # No autocast: |λ| near 1 has only 8 bits in bfloat16.
            return self.add_weight((count,), initializer, name=name, autocast=False)

        self.log_decay = weight(
            "log_decay", lambda shape, dtype: draw_decay(shape, self.min_radius, self.max_radius, draws, dtype)
        )
        self.log_phase = weight("log_phase", lambda shape, dtype: draw_phase(shape, self.max_phase, draws, dtype))
        self.log_scale = weight("log_scale", lambda shape, dtype: ops.cast(input_scale(self.log_decay), dtype))
        normal = initializers.RandomNormal(stddev=(2 * features) ** -0.5, seed=draws)
        self.input_projection = self._dense(
            2 * size, "input_projection", cloned(self.kernel_initializer) or normal, inputs_shape
        )
        normal = initializers.RandomNormal(stddev=size**-0.5, seed=draws)
        self.output_projection = self._dense(self.units, "output_projection", normal, (*inputs_shape[:2], 2 * size))
        if not self.use_feedthrough:
            self.feedthrough = None
        elif features == self.units:
            self.feedthrough = self.add_weight(
                (features,), initializers.RandomNormal(stddev=1.0, seed=draws), name="feedthrough"
            )
        else:
            normal = initializers.RandomNormal(stddev=features**-0.5, seed=draws)
            self.feedthrough = self._dense(self.units, "feedthrough", normal, inputs_shape)

    def _dense(self, units: int, name: str, initializer: Any, input_shape: tuple) -> keras.layers.Dense:
        dense = keras.layers.Dense(
            units,
            use_bias=False,
            kernel_initializer=initializer,
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build(input_shape)
        return dense

    def recur(self, inputs: Tensor, states: list[Tensor], mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """All outputs (T, B, units), and the last state."""
        if mask is not None:
            inputs = hold(inputs, mask, time_major=True)
        decay = ops.concatenate(decay_of(self.log_decay, self.log_phase))
        scale = ops.exp(self.log_scale)
        terms = self._scaled_projection(inputs, ops.concatenate([scale, scale]))
        if mask is not None:
            keeps = ops.cast(mask, scale.dtype)[..., None]
            terms = terms * keeps
            still = ops.concatenate([ops.ones_like(scale), ops.zeros_like(scale)])
            decay = decay * keeps + still * (1 - keeps)  # (T, B, 2 N)
        states = complex_linear_recurrence(decay, terms, ops.concatenate(states, axis=-1), time_major=True)
        outputs = self.output_projection(ops.cast(states, self.compute_dtype))
        if isinstance(self.feedthrough, keras.layers.Layer):
            outputs = outputs + self.feedthrough(inputs)
        elif self.feedthrough is not None:
            outputs = outputs + self.feedthrough * inputs
        return outputs, ops.split(states[-1], 2, axis=-1)

    def _scaled_projection(self, inputs: Tensor, scale: Tensor) -> Tensor:
        """γ B x, (T, B, 2 N) in the dtype of γ. Scaling the kernel is cheaper than scaling all steps."""
        dense = self.input_projection
        if dense.quantization_mode is not None:  # then the kernel is not all there is to the product
            return ops.cast(dense(inputs), scale.dtype) * scale
        kernel = ops.cast(ops.cast(dense.kernel, scale.dtype) * scale, self.compute_dtype)
        return ops.cast(ops.matmul(inputs, kernel), scale.dtype)

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        return {
            **super().get_config(),
            "state_dim": self.state_dim,
            "min_radius": self.min_radius,
            "max_radius": self.max_radius,
            "max_phase": self.max_phase,
            "use_feedthrough": self.use_feedthrough,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "seed": self.seed,
        }
