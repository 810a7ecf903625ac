"""A blurred input, as the state in which nothing can be made out."""

import dataclasses

import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.core.value import Value
from keras_arch.explain.metrics.positions import channel_axis


@register
@dataclasses.dataclass(frozen=True)
class Blur(Value):
    """A baseline: each input blurred along its axes of positions by a Gaussian.

    weight(t) ∝ exp(-t² / (2 sigma²)) for |t| <= (size - 1) / 2, along each axis after the other; what lies beyond an
    edge is taken to be like the edge.

    Args:
        size: of the Gaussian in positions, odd.
        sigma: its standard deviation in positions, > 0.
    Raises:
        ValueError: if a setting breaks its rule.
    Source: Petsiuk et al. 2018, arXiv:1806.07421, whose code has these numbers and takes zeros beyond the edges.

    >>> ka.explain.metrics.Blur(size=3, sigma=100.0)(np.array([[[0.0], [4.0], [0.0]]]))[0, :, 0].round(2)
    array([1.33, 1.33, 1.33], dtype=float32)
    """

    size: int = 11
    sigma: float = 5.0

    def __post_init__(self) -> None:
        check.integer("size", self.size)
        if self.size % 2 == 0:
            raise check.refuse("size", "must be odd to have a middle", self.size, f"Use size={self.size + 1}.")
        check.real("sigma", self.sigma, minimum=0, maximum=float("inf"), open_minimum=True, open_maximum=True)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Blur a batch.

        Args:
            x: array (N, positions…, C) of three axes or more, or with the channels where Keras's data format has them.
        Returns:
            float32 array of the same shape.
        """
        reach = self.size // 2
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / self.sigma) ** 2)
        weights /= weights.sum()
        channels = channel_axis(x.ndim)
        for axis in range(1, x.ndim):
            if axis == channels:
                continue
            length = x.shape[axis]
            padded = np.pad(x, [(reach, reach) if place == axis else (0, 0) for place in range(x.ndim)], mode="edge")
            shifted = (np.take(padded, np.arange(length) + shift, axis=axis) for shift in range(self.size))
            x = sum(weight * part for weight, part in zip(weights, shifted, strict=True))
        return np.asarray(x, "float32")
