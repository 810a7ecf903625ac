"""Weight normalization: a kernel as directions and lengths of its filters."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_arch.ops.l2_norm import l2_norm


def filter_norms(kernel: Any, filter_axes: Sequence[int]) -> Any:
    """Length of every filter of a kernel.

    norm[f] = ||kernel[f]||.   f: filter, the place along the filter axes; all other axes are summed over.

    Args:
        kernel: float tensor.
        filter_axes: axes that count the filters, none negative.
    Returns:
        float32 tensor (float64 for float64), shape (F,), F filters, the last filter axis fastest.

    >>> kernel = np.array([[3.0, 0.0], [4.0, 2.0]], "float32")
    >>> keras.ops.convert_to_numpy(filter_norms(kernel, (1,))).tolist()
    [5.0, 2.0]
    """
    return ops.reshape(l2_norm(kernel, _summed_axes(kernel, filter_axes)), (-1,))


def weight_normalized(direction: Any, gain: Any, filter_axes: Sequence[int]) -> Any:
    """A kernel whose filters point where those of another do and have given lengths.

    w[f] = gain[f] v[f] / ||v[f]||.   v: `direction`, f: filter.   A filter v[f] = 0 stays 0.

    Args:
        direction: v, float tensor.
        gain: (F,), one length a filter, the last filter axis fastest; a negative one turns its filter round.
        filter_axes: axes of `direction` that count the filters, none negative.
    Returns:
        float32 tensor (float64 for float64) of the shape of `direction`.
    Source: Salimans & Kingma 2016, arXiv:1602.07868, equation 2.

    >>> kernel = np.array([[3.0, 0.0], [4.0, 2.0]], "float32")
    >>> keras.ops.convert_to_numpy(weight_normalized(kernel, np.array([10.0, 1.0], "float32"), (1,))).tolist()
    [[6.0, 0.0], [8.0, 1.0]]
    """
    norms = l2_norm(direction, _summed_axes(direction, filter_axes))
    shape = [size if axis in filter_axes else 1 for axis, size in enumerate(direction.shape)]
    gain = ops.cast(ops.reshape(gain, shape), norms.dtype)
    return ops.cast(direction, norms.dtype) * (gain / ops.where(norms > 0, norms, ops.ones_like(norms)))


def _summed_axes(kernel: Any, filter_axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis for axis in range(len(kernel.shape)) if axis not in filter_axes)
