"""A fixed random reservoir, as a cell for `keras.layers.RNN`."""

import random
from typing import Any

import keras
import numpy as np
from keras import activations, initializers, ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.reservoir import connections, with_spectral_radius

Tensor = Any


@register
class EchoStateCell(keras.layers.Layer):
    """Reservoir of leaky units with fixed random weights: only what reads it out is trained.

    h' = (1 − a) h + a φ(x W + h U + b)

    x: inputs (B, D), h: state (B, N), W: `kernel` (D, N), U: `recurrent_kernel` (N, N), b: `bias` (N,), a: `leak_rate`,
    φ: `activation`. B: batch size, D: features, N: units. No weight is trainable.

    Each unit hears max(1, round(`connectivity` N)) units. U is then scaled so that its largest absolute eigenvalue is
    `spectral_radius`, computed in float64. A radius below 1 makes the network forget its initial state in practice
    (the echo state property; sufficient in theory is a largest singular value below 1).

    Masks, `stateful`, `go_backwards`, `return_state`, `unroll` and dynamic lengths are those of the
    `keras.layers.RNN` around it.

    Args:
        units: N, >= 1.
        connectivity: fraction of the units that each unit hears, in (0, 1].
        spectral_radius: largest absolute eigenvalue of U, >= 0.
        leak_rate: a, in (0, 1]; small values make slow units.
        use_bias: whether there is b.
        activation: φ, a Keras activation. None is the identity.
        kernel_initializer: for W; its scale is that of the inputs.
        recurrent_initializer: for the entries of U before they are thinned out and scaled.
        bias_initializer: for b.
        seed: int for the connections, and for initializers that are given by name; None draws one.
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.
    Raises:
        ValueError: for an argument out of range; at the first call, if all eigenvalues of U are 0 before scaling.
    Source: Jaeger 2001, GMD report 148; leaky units: Jaeger et al. 2007, Neural Networks 20, 335-352. Formula and
    defaults are those of TensorFlow Addons' ESNCell, which chooses each connection by itself, so that a small network
    can come out without cycles, which no factor gives a radius.

    >>> reservoir = keras.layers.RNN(EchoStateCell(50, seed=1), return_sequences=True)
    >>> tuple(reservoir(np.ones((2, 5, 3))).shape), len(reservoir.trainable_variables)
    ((2, 5, 50), 0)
    """

    def __init__(
        self,
        units: int,
        connectivity: float = 0.1,
        spectral_radius: float = 0.9,
        leak_rate: float = 1.0,
        use_bias: bool = True,
        activation: Any = "tanh",
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = check.integer("units", units)
        self.connectivity = check.real("connectivity", connectivity, minimum=0, maximum=1, open_minimum=True)
        self.spectral_radius = check.strength("spectral_radius", spectral_radius)
        self.leak_rate = check.real("leak_rate", leak_rate, minimum=0, maximum=1, open_minimum=True)
        self.use_bias = use_bias
        self.activation = activations.get(activation)
        self.seed = seed
        self._drawn_seed = random.randrange(2**31 - 3) if seed is None else check.integer("seed", seed, minimum=0)
        self.kernel_initializer = self._initializer(kernel_initializer, 0)
        self.recurrent_initializer = self._initializer(recurrent_initializer, 1)
        self.bias_initializer = self._initializer(bias_initializer, 2)
        self.state_size = self.units
        self.output_size = self.units

    def _initializer(self, given: Any, number: int) -> Any:
        """What was given; by name, one whose seed follows from the cell's."""
        found = initializers.get(given)
        config = found.get_config() if isinstance(given, str) and hasattr(found, "get_config") else {}
        if "seed" not in config:
            return found
        return type(found).from_config({**config, "seed": self._drawn_seed + number})

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create W, U and b, none of them trainable."""
        shapes = {"kernel": (input_shape[-1], self.units), "recurrent_kernel": (self.units, self.units)}
        self.kernel = self.add_weight(shapes["kernel"], self.kernel_initializer, name="kernel", trainable=False)
        self.recurrent_kernel = self.add_weight(
            shapes["recurrent_kernel"], self._reservoir, name="recurrent_kernel", trainable=False
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight((self.units,), self.bias_initializer, name="bias", trainable=False)

    def _reservoir(self, shape: tuple[int, int], dtype: Any = None) -> Tensor:
        entries = np.asarray(ops.convert_to_numpy(self.recurrent_initializer(shape, dtype="float32")), "float64")
        heard = connections(self.units, self.connectivity, np.random.default_rng(self._drawn_seed))
        return ops.convert_to_tensor(with_spectral_radius(entries * heard, self.spectral_radius), dtype=dtype)

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One step.

        Args:
            inputs: shape (B, D).
            states: [h], shape (B, N).
        Returns:
            h' and [h'].
        """
        (h,) = states
        new = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel)  # (B, N)
        if self.bias is not None:
            new = new + self.bias
        new = self.activation(new)
        if self.leak_rate != 1:
            new = h + self.leak_rate * (new - h)
        return new, [new]

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """Zeros."""
        return [ops.zeros((batch_size, self.units), self.compute_dtype)]

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        return {
            **super().get_config(),
            "units": self.units,
            "connectivity": self.connectivity,
            "spectral_radius": self.spectral_radius,
            "leak_rate": self.leak_rate,
            "use_bias": self.use_bias,
            "activation": activations.serialize(self.activation),
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "seed": self.seed,
        }
