"""Rectangles of a kernel."""

import dataclasses

import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class Block(Value):
    """Rectangles of neighbouring weights go together, which sparse kernels of processors can skip.

    A kernel is taken as a matrix (inputs, outputs): the last axis counts outputs, all others together the inputs, in
    their order. A block is `rows` inputs by `columns` outputs, and matters as much as its weights on average.
    1 x 4 are four outputs of one input.

    Args:
        rows: inputs of a block, >= 1; a divisor of the inputs of every weight that is pruned.
        columns: outputs of a block, >= 1; a divisor of the outputs.
    Raises:
        ValueError: if a size is below 1; when it meets a weight, if it does not divide.

    >>> pattern = ka.compression.pruning.patterns.Block(1, 2)
    >>> pattern.units(np.array([[1.0, 3.0], [5.0, 7.0]])).tolist()
    [[2.0], [6.0]]
    >>> pattern.weights(np.array([[True], [False]]), (2, 2)).tolist()
    [[True, True], [False, False]]
    """

    rows: int = 1
    columns: int = 4

    def __post_init__(self) -> None:
        check.integer("rows", self.rows)
        check.integer("columns", self.columns)

    def units(self, scores: np.ndarray) -> np.ndarray:
        """Mean score of each block, (inputs / rows, outputs / columns), from the scores of one weight."""
        inputs, outputs = scores.size // scores.shape[-1], scores.shape[-1]
        for name, size, count in (("rows", self.rows, inputs), ("columns", self.columns, outputs)):
            if count % size:
                rule = f"must divide the {count} {'inputs' if name == 'rows' else 'outputs'} of a weight of shape"
                raise check.refuse(
                    name, f"{rule} {tuple(scores.shape)}", size, "Choose a divisor, or leave the weight out by targets."
                )
        tiles = scores.reshape(inputs // self.rows, self.rows, outputs // self.columns, self.columns)
        return tiles.mean(axis=(1, 3))

    def weights(self, units: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Mark the weights of the marked blocks, in the shape of the weight."""
        return units.repeat(self.rows, axis=0).repeat(self.columns, axis=1).reshape(shape)
