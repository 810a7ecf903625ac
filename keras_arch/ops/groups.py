"""Groups of a weight tensor's entries: what group penalties, their proximal operators and pruning act on."""

import math
from typing import Any

import keras
from keras import ops

from keras_arch.core import check

Tensor = Any
Groups = str | int | tuple[int, ...]

# In Keras a kernel's last axis holds its filters (units) and the one before it its input channels, at any rank.
_NAMED = {"filter": (-1,), "input": (-2,)}


def check_groups(groups: Any) -> Groups:
    """Return `groups` if it names groups, or raise.

    Args:
        groups: "filter" (last axis), "input" (last but one), an axis, or several axes: one group for each index along
            these axes.
    Returns:
        The string, the int, or a tuple of ints.
    Raises:
        ValueError: for anything else, and for repeated or no axes.

    >>> check_groups("filter"), check_groups([0, 1])
    ('filter', (0, 1))
    """
    if isinstance(groups, str):
        return check.one_of("groups", groups, _NAMED)
    if not isinstance(groups, list | tuple):
        return check.integer("groups", groups, minimum=-64, maximum=63)
    axes = tuple(check.integer("groups", axis, minimum=-64, maximum=63) for axis in groups)
    if not axes or len(set(axes)) < len(axes):
        raise check.refuse("groups", "must name at least one axis, and each once", groups, 'Use "filter" or (-1,).')
    return axes


def group_axes(groups: Groups, rank: int) -> tuple[int, ...]:
    """The axes of a tensor whose indices enumerate the groups, counted from 0 and sorted.

    Args:
        groups: as `check_groups` returns it.
        rank: of the tensor.
    Raises:
        ValueError: if the tensor has no such axis, or two of the axes are the same one.

    >>> group_axes("input", rank=4)
    (2,)
    """
    axes = _NAMED[groups] if isinstance(groups, str) else (groups,) if isinstance(groups, int) else groups
    counted = sorted({axis % rank for axis in axes if -rank <= axis < rank})
    if len(counted) < len(axes):
        raise check.refuse(
            "groups",
            f"must name different axes of the weight, which has rank {rank}",
            groups,
            "Choose axes that it has, or give this weight no group penalty.",
        )
    return tuple(counted)


def group_size(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """How many entries each group of a tensor of this shape has.

    Args:
        shape: of the tensor.
        axes: as `group_axes` returns them.

    >>> group_size((3, 3, 16, 32), axes=(3,))
    144
    """
    return math.prod(size for axis, size in enumerate(shape) if axis not in axes)


def group_norms(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Euclidean norm of each group, in float32 at least, with gradient zero at a group that is all zero.

    n[g] = sqrt(Σ x[j]² over j in g);  dn[g]/dx[j] = x[j] / n[g], and 0 where n[g] = 0.

    Args:
        x: weight of any float precision and rank.
        axes: axes that enumerate the groups, as `group_axes` returns them.
    Returns:
        float32 tensor (float64 for float64) of the sizes along `axes`.

    >>> group_norms(np.array([[3.0, 0.0], [4.0, 0.0]]), axes=(1,)).numpy().tolist()
    [5.0, 0.0]
    """
    x = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))  # a float16 square overflows from 256 on
    others = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
    squares = ops.sum(ops.square(x), axis=others) if others else ops.square(x)
    positive = squares > 0
    # sqrt has slope infinity at 0, and 0 · infinity is NaN: keep it away from 0 on both sides of the choice.
    return ops.where(positive, ops.sqrt(ops.where(positive, squares, ops.ones_like(squares))), ops.zeros_like(squares))
