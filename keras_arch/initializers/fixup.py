"""Weights for residual networks without normalization."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.initializer import rounded
from keras_arch.core.registration import register


@register
class Fixup(keras.initializers.VarianceScaling):
    """He's normal weights, made smaller the more residual branches there are: a deep network needs no normalization.

    W ~ N(0, L^(−1 / (m − 1)) · 2 / fan_in), a factor L^(−1 / (2 m − 2)) on He's standard deviation;
    W = 0 with `last=True`.

    L: residual branches of the network, m: weight layers in each. The last layer of each branch and the classifier
    start at zero; layers outside branches take "he_normal". The outputs then have the variance of a network without
    its branches, and one step of gradient descent changes them by the learning rate times a constant, whatever L is.
    The paper adds scalar weights of its own, in plain Keras layers or weights: a bias before each convolution, linear
    layer and activation, and a multiplier on each branch.

    Args:
        num_branches: L, >= 1. 1 is He's initialization.
        layers_per_branch: m, >= 2.
        last: whether the weight belongs to the last layer of a branch or to the classifier, and is zero.
        seed: int, `keras.random.SeedGenerator` or None, as in Keras's initializers.
    Raises:
        ValueError: for numbers below these.
    Source: Zhang, Dauphin and Ma 2019, arXiv:1901.09321, section 3. The normal is not truncated, fans are those of
    Keras's `VarianceScaling`, and values are drawn in float32 and cast.

    >>> round(float(Fixup(num_branches=16, seed=0)((200, 100)).numpy().std()) * 10, 2)  # 16 ** (-1 / 2)
    0.25
    >>> float(Fixup(16, last=True)((200, 100)).numpy().max())
    0.0
    """

    def __init__(self, num_branches: int = 1, layers_per_branch: int = 2, last: bool = False, seed: Any = None) -> None:
        self.num_branches = check.integer("num_branches", num_branches)
        self.layers_per_branch = check.integer("layers_per_branch", layers_per_branch, minimum=2)
        if not isinstance(last, bool):
            raise check.refuse("last", "must be True or False", last, "Pass True for the last layer of a branch.")
        self.last = last
        scale = 2.0 * self.num_branches ** (-1.0 / (self.layers_per_branch - 1))
        super().__init__(scale=scale, mode="fan_in", distribution="untruncated_normal", seed=seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draw a weight.

        Args:
            shape: of the weight, rank 2 or more.
            dtype: a float dtype; None is Keras's floatx.
        Returns:
            Tensor of that shape and dtype.
        """
        return rounded(ops.zeros if self.last else super().__call__, shape, dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            "num_branches": self.num_branches,
            "layers_per_branch": self.layers_per_branch,
            "last": self.last,
            "seed": super().get_config()["seed"],
        }
