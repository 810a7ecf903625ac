"""Soft random masks: coarse grids of ones and zeros, drawn out to the size of an input and shifted."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class RandomMasks:
    """K masks over the positions of one input, held as their small grids.

    Attributes:
        cells: bool (K, *grid), which cells are kept.
        shifts: int (K, axes), where the drawn-out grid is cut.
        size: positions along each axis.
        smooth: whether cells are drawn out linearly, with values between 0 and 1, or as blocks of 0 and 1.
    """

    cells: np.ndarray
    shifts: np.ndarray
    size: tuple[int, ...]
    smooth: bool

    def parts(self, masks: np.ndarray) -> list[np.ndarray]:
        """What `grow` needs for these masks: float32 cells (P, *grid), and for each axis weights (P, size, grid)."""
        found = [self.cells[masks].astype("float32")]
        for axis, length in enumerate(self.size):
            number = self.cells.shape[1 + axis]
            cell = -(-length // number)
            scale = 1.0 if cell == 1 and not self.smooth else number / ((number + 1) * cell)
            at = (np.arange(length) + self.shifts[masks, axis][:, None] + 0.5) * scale - 0.5  # (P, length)
            at = np.clip(at, 0, number - 1)
            at = at if self.smooth else np.floor(at + 0.5)
            found.append(np.maximum(1 - np.abs(at[..., None] - np.arange(number)), 0).astype("float32"))
        return found


def random_masks(
    size: tuple[int, ...], count: int, grid: int, keep: float, smooth: bool, generator: np.random.Generator
) -> RandomMasks:
    """Draw masks whose values have the mean `keep` everywhere.

    A grid of g cells along an axis of L positions is drawn out to (g + 1) · ⌈L / g⌉ positions, of which L are cut out,
    from 0 … ⌈L / g⌉ - 1 on.

    Args:
        size: L of each axis.
        count: K, masks.
        grid: g, at most L of the axis.
        keep: probability that a cell is kept.
        smooth: linear or as blocks; blocks of one position each are not shifted, so all positions are independent.
        generator: source of the draws.

    >>> masks = random_masks((4,), 2, 4, 0.5, False, np.random.default_rng(0))
    >>> (grow(np, *masks.parts(np.arange(2))) == masks.cells).all()
    np.True_
    """
    grids = tuple(min(grid, length) for length in size)
    cells = generator.random((count, *grids)) < keep
    widest = [-(-length // number) for length, number in zip(size, grids, strict=True)]
    shifts = generator.integers(0, widest, (count, len(size))) if size else np.zeros((count, 0), int)
    return RandomMasks(cells, shifts, size, smooth)


def grow(numpy: Any, cells: Any, *weights: Any) -> Any:
    """Draw cells out to masks, with NumPy on the host or `keras.ops` on the device.

    mask[p, i, j, …] = Σ_a Σ_b … weights₀[p, i, a] weights₁[p, j, b] … cells[p, a, b, …]

    Args:
        numpy: `numpy` or `keras.ops`.
        cells: float32 (P, *grid).
        *weights: for each axis (P, size, grid).
    Returns:
        float32 (P, *size).

    >>> grow(np, np.array([[0.0, 1.0]]), np.array([[[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]])).tolist()
    [[0.0, 0.5, 1.0]]
    """
    masks = cells
    for weight in weights:
        rest = tuple(masks.shape[2:])
        flat = numpy.reshape(masks, (masks.shape[0], masks.shape[1], -1))  # (P, grid, rest)
        flat = numpy.matmul(weight, flat)  # (P, size, rest)
        masks = numpy.reshape(numpy.swapaxes(flat, 1, 2), (masks.shape[0], *rest, weight.shape[1]))
    return masks
