"""Where tokens stand in the inputs: which come first and stand for none, and how the others lie."""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_arch.core import walk
from keras_arch.core.check import refuse
from keras_arch.explain.cam.resize import resize


@dataclass(frozen=True)
class TokenPlaces:
    """How the tokens of a model lie in one of its inputs.

    Attributes:
        prefix: how many tokens come first that stand for no place, such as a class token and registers.
        grid: rows and columns (or the length) of the other tokens.
        size: positions of the input, of as many axes.
        has_channels: whether the input has a channel axis after them.
    """

    prefix: int
    grid: tuple[int, ...]
    size: tuple[int, ...]
    has_channels: bool

    def spread(self, values: np.ndarray, interpolation: str | None) -> np.ndarray:
        """Lay the values of all tokens, (N, T), out over the input: (N, *size, 1), or (N, *size) without channels.

        Args:
            values: float32 array.
            interpolation: "linear" or "nearest"; None keeps the grid.

        >>> places = TokenPlaces(prefix=1, grid=(1, 2), size=(2, 4), has_channels=True)
        >>> places.spread(np.array([[9.0, 1.0, 2.0]]), "nearest")[0, :, :, 0].tolist()
        [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
        """
        maps = values[:, self.prefix :].reshape(len(values), *self.grid)
        if interpolation is not None and self.grid != self.size:
            maps = resize(maps, self.size, interpolation)
        maps = maps.astype("float32")
        return maps[..., None] if self.has_channels else maps


def token_places(
    model: keras.Model, inputs: Any, tokens: int, grid: tuple[int, ...] | None = None, prefix: int | None = None
) -> TokenPlaces:
    """Find where the tokens of a model stand in its inputs.

    A sequence (N, T) or (N, T, C) has a token for each step; an image (N, h, w, C) has a grid of patches. Its grid
    comes from the model's patch embedding if that can tell (`keras_arch.layers.PatchEmbedding`), else it is the one of
    the image's aspect that leaves the fewest tokens before it.

    Args:
        model: a Keras model.
        inputs: structure of arrays or tensors, batch first; of several the first that fits counts.
        tokens: T, how many tokens attend to each other.
        grid: None, or how the tokens lie: (rows, columns) for images, (length,) for sequences.
        prefix: None, or how many tokens come first that stand for no place.
    Raises:
        ValueError: if no input fits.

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    >>> token_places(model, np.zeros((2, 8, 8, 3)), tokens=17)
    TokenPlaces(prefix=1, grid=(4, 4), size=(8, 8), has_channels=True)
    """
    shapes = [tuple(leaf.shape) for leaf in keras.tree.flatten(inputs)]
    for shape in shapes:
        size = shape[1:-1] if len(shape) > 2 else shape[1:]
        found = _lay_out(model, size, tokens, grid, prefix)
        if found is not None:
            return TokenPlaces(tokens - math.prod(found), found, size, len(shape) > 2)
    wanted = [f"{name}={value}" for name, value in (("grid", grid), ("prefix_tokens", prefix)) if value is not None]
    raise refuse(
        "grid",
        f"must say how the {tokens} tokens of the attention layers lie in an input of shape "
        f"{' or '.join(map(str, shapes))}, where that cannot be told{' with ' + ', '.join(wanted) if wanted else ''}",
        grid,
        "Pass grid=(rows, columns) for images or grid=(length,) for sequences, with as many axes as the input has "
        "positions; the tokens beyond it have to come first.",
    )


def _lay_out(
    model: keras.Model, size: tuple, tokens: int, grid: tuple | None, prefix: int | None
) -> tuple[int, ...] | None:
    """The grid of the tokens in an input of this size, or None where it does not fit."""
    if not size or None in size:
        return None
    known = size if len(size) == 1 else _asked(model, size) if len(size) == 2 else None
    known = known if grid is None else grid
    if known is not None:
        before = tokens - math.prod(known)
        fits = before >= 0 if prefix is None else before == prefix
        return tuple(known) if fits and len(known) == len(size) else None
    for before in range(tokens) if prefix is None else (prefix,):
        found = _of_aspect(size, tokens - before)
        if found is not None:
            return found
    return None


def _asked(model: keras.Model, size: tuple[int, ...]) -> tuple[int, ...] | None:
    """What the model's one patch embedding says."""
    layers = [layer for _, layer in walk.walk(model) if hasattr(layer, "grid") and hasattr(layer, "num_prefix_tokens")]
    if len(layers) != 1:
        return None
    try:
        return tuple(layers[0].grid(*size))
    except ValueError:  # it sees another size than the input has
        return None


def _of_aspect(size: tuple[int, ...], count: int) -> tuple[int, ...] | None:
    """The grid of `count` cells, each of as many positions along every axis, or None."""
    cell = (math.prod(size) / count) ** (1 / len(size))
    found = tuple(max(1, round(axis / cell)) for axis in size)
    whole = math.prod(found) == count and all(axis % cells == 0 for axis, cells in zip(size, found, strict=True))
    same = len({axis // cells for axis, cells in zip(size, found, strict=True)}) == 1
    return found if whole and same else None
