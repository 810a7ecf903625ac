"""The smaller weights that deep post-norm transformers begin with."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_arch.core.initializer import rounded
from keras_arch.core.registration import register
from keras_arch.ops.residual import deepnorm_constants


@register
class DeepNorm(keras.initializers.VarianceScaling):
    """Xavier's normal weights times the gain beta of DeepNorm: small enough for hundreds of post-norm blocks.

    W ~ N(0, 2 beta² / (fan_in + fan_out));  beta = (8 N)^(−1/4) in a stack of N blocks.

    For the value and the output projection of attention and for both layers of the feed-forward network; query and
    key projections take "glorot_normal". The other half of the method is the residual connection norm(alpha x + f(x)):
    `keras_arch.ops.residual.deepnorm_constants` has alpha and beta, also of encoder-decoder models, and
    `keras_arch.layers.TransformerEncoderBlock(norm_placement="deepnorm")` does all of it. Together they bound the
    first update of the model by a constant, whatever N is. Fans are those of Keras's `VarianceScaling`.

    Args:
        num_layers: N, blocks of a model of one stack; or (N, M), blocks of its encoder and its decoder.
        stack: "encoder" or "decoder", the stack that the weight belongs to. A model of one stack is an "encoder", also
            if it is called a decoder: beta is the same.
        seed: int, `keras.random.SeedGenerator` or None, as in Keras's initializers.
    Raises:
        ValueError: for a number below 1, a tuple that is no pair, or an unknown stack.
    Source: Wang et al. 2022, arXiv:2203.00555, figure 2 and section 4. Drawn in float32 and cast.

    >>> round(float(DeepNorm(num_layers=100, seed=0)((256, 256)).numpy().std()) * 16, 2)  # (8 * 100) ** (-1 / 4)
    0.19
    """

    def __init__(self, num_layers: int | tuple[int, int] = 1, stack: str = "encoder", seed: Any = None) -> None:
        beta = deepnorm_constants(num_layers, stack)[1]
        super().__init__(scale=beta**2, mode="fan_avg", distribution="untruncated_normal", seed=seed)
        self.num_layers = tuple(num_layers) if isinstance(num_layers, tuple | list) else num_layers
        self.stack = stack

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draw a weight.

        Args:
            shape: of the weight, rank 2 or more.
            dtype: a float dtype; None is Keras's floatx.
        Returns:
            Tensor of that shape and dtype.
        """
        return rounded(super().__call__, shape, dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"num_layers": self.num_layers, "stack": self.stack, "seed": super().get_config()["seed"]}
