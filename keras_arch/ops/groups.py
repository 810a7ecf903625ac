"""Groups of a weight tensor's entries: what group penalties, their proximal operators and pruning act on."""

import math
from typing import Any

from keras import ops

from keras_arch.core import check
from keras_arch.ops.precision import at_least_float32

Tensor = Any
Groups = str | int | tuple[int, ...]

# In Keras a kernel's last axis holds its filters (units) and the one before it its input channels, at any rank.
_NAMED = {"filter": -1, "input": -2}


def check_groups(groups: Any) -> Groups:
    """Return `groups` if it names groups, or raise.

    Args:
        groups: "filter" (last axis), "input" (last but one), "head" (as `head_axis` finds it), an axis, or several
            axes: one group for each index along these axes.
    Returns:
        The string, the int, or a tuple of ints.
    Raises:
        ValueError: for anything else, and for repeated or no axes.

    >>> check_groups("filter"), check_groups([0, 1])
    ('filter', (0, 1))
    """
    if isinstance(groups, str):
        return check.one_of("groups", groups, (*_NAMED, "head"))
    if not isinstance(groups, list | tuple):
        return check.integer("groups", groups, minimum=-64, maximum=63)
    axes = tuple(check.integer("groups", axis, minimum=-64, maximum=63) for axis in groups)
    if not axes or len(set(axes)) < len(axes):
        raise check.refuse("groups", "must name at least one axis, and each once", groups, 'Use "filter" or (-1,).')
    return axes


def head_axis(shape: tuple[int, ...]) -> int:
    """The axis of the heads in a kernel of multi-head attention, told by its shape.

    (D, N, H) projects to queries, keys or values: heads at 1. (N, H, D) projects the heads to outputs: heads at 0.
    D: model size, N: heads (of keys and values: maybe fewer), H: head size. D is the end axis whose length is a
    multiple of the product of the other two, as the model size is of the size of all heads nearly everywhere.

    Args:
        shape: of the kernel.
    Raises:
        ValueError: if the rank is not 3, or none or both of the end axes are such a multiple.

    >>> head_axis((64, 8, 8)), head_axis((64, 2, 8)), head_axis((8, 8, 64))
    (1, 1, 0)
    """
    if len(shape) == 3:
        first, middle, last = shape
        to_heads, from_heads = first % (middle * last) == 0, last % (first * middle) == 0
        if to_heads != from_heads:
            return 1 if to_heads else 0
    raise ValueError(
        'groups="head" needs the kernel of an attention layer, (model, heads, head size) or (heads, head size, model) '
        f"with a model size that is a multiple of heads times head size; received a weight of the shape {shape}. "
        "Name the axis of its heads, such as groups=1."
    )


def group_axes(groups: Groups, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a tensor whose indices enumerate the groups, counted from 0 and sorted.

    Args:
        groups: as `check_groups` returns it.
        shape: of the tensor.
    Raises:
        ValueError: if the tensor has no such axis, or two of the axes are the same one; for "head", as `head_axis`.

    >>> group_axes("input", (3, 3, 16, 32))
    (2,)
    """
    if groups == "head":
        return (head_axis(tuple(shape)),)
    rank, axis = len(shape), _NAMED.get(groups, groups)
    axes = (axis,) if isinstance(axis, int) else axis
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


def widened(x: Tensor) -> Tensor:
    """A tensor in float32 at least: half precision is widened, float32 and float64 stay.

    >>> widened(np.ones(2, "float16")).dtype.name
    'float32'
    """
    return ops.cast(x, at_least_float32(x.dtype))


def group_norms(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Euclidean norm of each group, in float32 at least, with gradient zero at a group that is all zero.

    n[g] = sqrt(Σ x[j]² over j in g);  dn[g]/dx[j] = x[j] / n[g], and 0 where n[g] = 0.

    Args:
        x: weight of any float precision and rank.
        axes: axes that enumerate the groups, as `group_axes` returns them; () for one group of all entries.
    Returns:
        float32 tensor (float64 for float64) of the sizes along `axes`.

    >>> group_norms(np.array([[3.0, 0.0], [4.0, 0.0]]), axes=(1,)).numpy().tolist()
    [5.0, 0.0]
    """
    x = widened(x)  # a float16 square overflows from 256 on
    others = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
    squares = ops.sum(ops.square(x), axis=others) if others else ops.square(x)
    positive = squares > 0
    # sqrt has slope infinity at 0, and 0 · infinity is NaN: keep it away from 0 on both sides of the choice.
    return ops.where(positive, ops.sqrt(ops.where(positive, squares, ops.ones_like(squares))), ops.zeros_like(squares))
