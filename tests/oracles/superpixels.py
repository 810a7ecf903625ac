"""Connected regions of a label map by flood fill, one position at a time."""

import numpy as np


def regions(labels: np.ndarray) -> np.ndarray:
    """Number of the connected region of each position: neighbours along an axis with equal labels, in scan order."""
    found = np.full(labels.shape, -1)
    number = 0
    for start in np.ndindex(*labels.shape):
        if found[start] >= 0:
            continue
        stack = [start]
        found[start] = number
        while stack:
            place = stack.pop()
            for axis in range(labels.ndim):
                for step in (-1, 1):
                    near = list(place)
                    near[axis] += step
                    near = tuple(near)
                    inside = 0 <= near[axis] < labels.shape[axis]
                    if inside and found[near] < 0 and labels[near] == labels[place]:
                        found[near] = number
                        stack.append(near)
        number += 1
    return found


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two label maps part the positions alike, whatever the labels are called."""
    pairs = set(zip(one.ravel().tolist(), other.ravel().tolist(), strict=True))
    return len(pairs) == len(set(one.ravel().tolist())) == len(set(other.ravel().tolist()))
