"""Random Fourier features of coordinates."""

import math
from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.precision import at_least_float32


@register
class FourierFeatures(keras.layers.Layer):
    """Map coordinates to cosines and sines of random directions, so that a network can learn fine detail.

    output = concatenate(cos(2 pi x B), sin(2 pi x B)),  B[j, k] drawn from a normal distribution of deviation `scale`.
    x: coordinates (..., d), B: frequencies (d, m) in turns per unit, m: `num_frequencies`.

    Coordinates are usually scaled to [0, 1]; a larger `scale` resolves finer detail and generalises less. The inputs
    are not cast to the compute dtype: products are taken in float32 or wider, whole turns dropped, and the output cast
    last. B is a weight, so that a loaded model has the same one; it stays as drawn unless `learn_frequencies`. A mask
    passes through.

    Args:
        num_frequencies: m, >= 1; the output has 2 m features.
        scale: deviation of the frequencies, in turns per unit of the coordinates; > 0.
        learn_frequencies: whether B is trained.
        seed: of the draw, an integer or `keras.random.SeedGenerator`; None: another one each time.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, shape (..., d).

    Returns:
        Tensor in the compute dtype, shape (..., 2 m), within [-1, 1].

    Raises:
        ValueError: if m is below 1 or `scale` is not positive.

    Source: Tancik et al. 2020, arXiv:2006.10739, section 6; Rahimi and Recht 2007.

    >>> layer = ka.layers.FourierFeatures(num_frequencies=3, scale=10.0, seed=0)
    >>> features = layer(np.zeros((2, 5, 2)))
    >>> tuple(features.shape), keras.ops.convert_to_numpy(features)[0, 0].tolist()
    ((2, 5, 6), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    """

    def __init__(
        self,
        num_frequencies: int,
        scale: float = 1.0,
        learn_frequencies: bool = False,
        seed: Any = None,
        **kwargs,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.num_frequencies = check.integer("num_frequencies", num_frequencies)
        self.scale = check.real("scale", scale, minimum=0.0, maximum=math.inf, open_minimum=True, open_maximum=True)
        self.learn_frequencies = bool(learn_frequencies)
        self.seed = seed
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        self.frequencies = self.add_weight(
            shape=(input_shape[-1], self.num_frequencies),
            initializer=keras.initializers.RandomNormal(stddev=self.scale, seed=self.seed),
            trainable=self.learn_frequencies,
            autocast=False,  # a frequency in half precision is another frequency
            name="frequencies",
        )

    def call(self, inputs: Any) -> Any:
        inputs = ops.convert_to_tensor(inputs)
        wide = at_least_float32(inputs.dtype, self.compute_dtype)
        turns = ops.matmul(ops.cast(inputs, wide), ops.cast(self.frequencies, wide))  # (..., m)
        angles = 2 * math.pi * (turns - ops.stop_gradient(ops.round(turns)))
        features = ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)  # (..., 2 m)
        return ops.cast(features, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], 2 * self.num_frequencies)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_frequencies": self.num_frequencies,
            "scale": self.scale,
            "learn_frequencies": self.learn_frequencies,
            "seed": keras.saving.serialize_keras_object(self.seed),
        }
