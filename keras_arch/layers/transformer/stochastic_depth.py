"""Stochastic depth: whole samples of a residual branch are dropped in training."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register


@register
class StochasticDepth(keras.layers.Layer):
    """Drop a residual branch for some samples in training, and scale it up for the others.

    output[b] = input[b] * survives[b] / (1 - rate) in training, survives[b] = 1 with probability 1 - rate, else 0;
    output = input at inference.   b: sample.

    Put it at the end of a branch, before the sum: x + StochasticDepth(rate)(branch(x)). It differs from dropout in
    that a sample keeps or loses all of the branch. The paper scales the branch down at inference; here, as in
    dropout, it is scaled up in training, so that inference is the identity. A mask passes through.

    In the paper the rate rises linearly from layer to layer, up to 0.5 at the last.

    Args:
        rate: probability that a sample loses the branch, in [0, 1).
        seed: of the random choice, an int; None draws one.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, ...), of any rank from 1.
        training: whether samples are dropped.

    Returns:
        Tensor of the shape and the dtype of the (autocast) input.

    Raises:
        ValueError: if `rate` is outside [0, 1), or the input is a scalar.

    Source: Huang et al. 2016, arXiv:1603.09382, section 3.

    >>> layer = ka.layers.StochasticDepth(0.5, seed=1)
    >>> output = keras.ops.convert_to_numpy(layer(np.ones((8, 3)), training=True))
    >>> sorted(set(output.ravel().tolist())), bool((output == output[:, :1]).all())
    ([0.0, 2.0], True)
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.rate = check.real("rate", rate, minimum=0.0, maximum=1.0, open_maximum=True)
        self.seed = seed
        if self.rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        if not len(input_shape):
            advice = "Give it a first axis that counts the samples."
            raise check.refuse("inputs", "must have a batch axis", tuple(input_shape), advice)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training or self.rate == 0:
            return inputs
        # Not keras.random.dropout: without a seed it ignores noise_shape on PyTorch in Keras 3.15.
        shape = (ops.shape(inputs)[0], *(1 for _ in inputs.shape[1:]))
        survives = ops.greater_equal(keras.random.uniform(shape, dtype="float32", seed=self.seed_generator), self.rate)
        return ops.where(survives, inputs / (1 - self.rate), ops.zeros((), inputs.dtype))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
