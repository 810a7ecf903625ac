"""The figures of rounded tensors, added up over kernels or batches."""

import dataclasses
from typing import Any

import numpy as np
from keras import ops

from keras_arch.compression.quantization.scheme import Scheme
from keras_arch.ops.fake_quant import at_ends


@dataclasses.dataclass
class Rounding:
    """Sums over the values of tensors that were rounded, in float64.

    Args:
        signal: sum of their squares.
        noise: sum of their squared rounding errors.
        zeros: how many are 0 once rounded.
        ends: how many reach or exceed an end of their grid, see `keras_arch.ops.fake_quant.at_ends`.
        count: how many they are.

    >>> sums = Rounding()
    >>> sums.add(np.float32([0.2, 1.0, 3.0]), Scheme(8, narrow=True), np.float32(-2.0), np.float32(2.0))
    >>> round(sums.mean_squared_error, 2), round(sums.saturation, 2)
    (0.33, 0.33)
    """

    signal: float = 0.0
    noise: float = 0.0
    zeros: int = 0
    ends: int = 0
    count: int = 0

    def add(self, x: Any, scheme: Scheme, low: Any, high: Any, channel_axes: int = 0) -> None:
        """Round one more tensor on the grid of a range and add it up.

        Args:
            x: float tensor.
            scheme: how it is rounded.
            low: lower end of its measured range.
            high: upper end.
            channel_axes: how many of its last axes the range has.
        """
        x = ops.cast(x, "float32")
        exact = ops.convert_to_numpy(x).astype("float64")
        rounded = ops.convert_to_numpy(scheme.quantize(x, low, high, channel_axes)).astype("float64")
        reached = at_ends(x, *scheme.grid_range(low, high), scheme.bits, scheme.narrow)
        self.signal += float(np.square(exact).sum())
        self.noise += float(np.square(exact - rounded).sum())
        self.zeros += int((rounded == 0).sum())
        self.ends += int(ops.convert_to_numpy(reached).sum())
        self.count += exact.size

    @property
    def sqnr_db(self) -> float:
        """Signal-to-quantization-noise ratio in decibels, infinite without noise."""
        if self.noise == 0:
            return float("inf")
        with np.errstate(divide="ignore"):  # noise without a signal is -inf
            return float(10 * np.log10(self.signal / self.noise))

    @property
    def mean_squared_error(self) -> float:
        """Mean squared rounding error."""
        return self.noise / self.count

    @property
    def saturation(self) -> float:
        """Share of the values that reach or exceed an end of their grid."""
        return self.ends / self.count

    @property
    def zero_share(self) -> float:
        """Share of the values that are 0 once rounded."""
        return self.zeros / self.count
