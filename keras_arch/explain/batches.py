"""Samples that come batch by batch: datasets, data loaders and generators."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_arch.core.check import describe


def is_stream(x: Any) -> bool:
    """Whether samples come in batches: a `tf.data.Dataset`, `keras.utils.PyDataset`, PyTorch `DataLoader` or iterator.

    >>> is_stream(iter([np.ones((2, 3))])), is_stream(np.ones((2, 3)))
    (True, False)
    """
    if keras.ops.is_tensor(x) or isinstance(x, np.ndarray | list | tuple | dict | str):
        return False
    return isinstance(x, keras.utils.PyDataset | Iterator) or (
        isinstance(x, Iterable) and (hasattr(x, "element_spec") or hasattr(x, "batch_sampler"))
    )


def batches(x: Any) -> Iterator[Any]:
    """The inputs of each batch; what else a batch holds, such as labels and weights, is left out.

    Args:
        x: what `is_stream` knows; every element is a batch of inputs, or a tuple (inputs, labels) or (inputs, labels,
            sample weights) as `model.fit` takes it.
    Raises:
        ValueError: if nothing comes.

    >>> [batch.shape for batch in batches(iter([(np.ones((2, 3)), np.ones(2)), (np.ones((1, 3)), np.ones(1))]))]
    [(2, 3), (1, 3)]
    """
    elements = (x[place] for place in range(len(x))) if isinstance(x, keras.utils.PyDataset) else iter(x)
    count = 0
    for element in elements:
        count += 1
        pair = isinstance(element, tuple | list) and hasattr(x, "batch_sampler")  # loaders give lists of two
        yield element[0] if isinstance(element, tuple) or pair else element
    if not count:
        raise ValueError(f"x must hold at least one batch; received {describe(x)} without any. Check how it is made.")


def cut(inputs: Any, size: int) -> Iterator[Any]:
    """Slices of `size` samples, the last one shorter, of a structure of arrays.

    >>> [part.shape for part in cut(np.ones((3, 2)), 2)]
    [(2, 2), (1, 2)]
    """
    for first in range(0, len(keras.tree.flatten(inputs)[0]), size):
        yield keras.tree.map_structure(lambda leaf, first=first: leaf[first : first + size], inputs)


def part_of_target(target: Any, first: int, count: int) -> Any:
    """The target of samples first … first + count - 1, where it lists one index per sample of the whole stream.

    Args:
        target: what `Method.explain` takes.
        first: number of samples before these.
        count: number of these samples.
    Raises:
        ValueError: if the list ends before.

    >>> part_of_target([3, 4, 5], 1, 2), part_of_target(7, 1, 2), part_of_target((0, 1), 1, 2)
    ([4, 5], 7, (0, 1))
    """
    if isinstance(target, dict):
        return {key: part_of_target(part, first, count) for key, part in target.items()}
    if not isinstance(target, list | np.ndarray) or np.ndim(target) == 0:
        return target
    if len(target) < first + count:
        raise ValueError(
            f"target must hold one entry per sample; received {len(target)}, and the samples go on to {first + count}. "
            "Pass one int for all samples, or as many as there are samples."
        )
    return target[first : first + count]
