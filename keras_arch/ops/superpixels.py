"""Superpixels: connected pieces of an image, or of a signal or a volume, of about one colour."""

import itertools
import math

import numpy as np


def superpixels(image: np.ndarray, count: int = 50, compactness: float = 10.0, iterations: int = 10) -> np.ndarray:
    """Part an image into connected segments of similar colour and about equal size.

    Centres start on a regular grid. In turn each position joins the nearest of the centres that started in its own
    grid cell or next to it, and centres move to the mean of what joined them, under the distance

    d² = |colour - colour of centre|² + (compactness / S)² |position - position of centre|²,   S: side of a grid cell.

    Then pieces that have come off, and segments below a quarter of the mean size, join the neighbour that they touch
    most.

    Args:
        image: (*size, C), one, two or three axes of positions, finite.   C: channels.
        count: about how many segments, >= 1; at most as many as there are positions.
        compactness: weight of positions against colours; larger is squarer. Colours span 0 … 100.
        iterations: how often centres move.
    Returns:
        int32 array (*size), segments numbered from 0 without gaps.
    Source: SLIC, Achanta et al. 2012, doi:10.1109/TPAMI.2012.120. Colours are the image's own channels, scaled
    together to 0 … 100, not CIELAB; a position looks at the centres around its grid cell, which is the same search seen
    from the other side.

    >>> image = np.zeros((4, 8, 1))
    >>> image[:, 4:] = 1.0
    >>> superpixels(image, count=2)[0].tolist()
    [0, 0, 0, 0, 1, 1, 1, 1]
    """
    size = image.shape[:-1]
    if count >= math.prod(size):
        return np.arange(math.prod(size), dtype="int32").reshape(size)
    grid = _grid(size, count)
    cells = [np.arange(length) * number // length for length, number in zip(size, grid, strict=True)]
    home = np.stack(np.meshgrid(*cells, indexing="ij"), -1).reshape(-1, len(size))  # (P, axes)
    points = _points(image, grid, compactness)  # (P, C + axes)
    labels = np.ravel_multi_index(tuple(home.T), grid)
    centres = _means(points, labels, math.prod(grid))
    near = _near(grid)  # (cells, 3 ** axes)
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
    for _ in range(iterations if len(centres) > 1 else 0):
        moved = _nearest(points, centres, members, near)
        if np.array_equal(moved, labels):
            break
        labels, centres = moved, _means(points, moved, len(centres), centres)
    return _tidy(labels.reshape(size), smallest=labels.size / len(centres) / 4)


def connected_regions(labels: np.ndarray) -> np.ndarray:
    """Number the connected regions of equal labels; neighbours share a side.

    Args:
        labels: int array of any rank.
    Returns:
        int array of the same shape, numbered from 0 without gaps.

    >>> connected_regions(np.array([7, 7, 3, 7])).tolist()
    [0, 0, 1, 2]
    """
    one, other = _sides(labels.shape)
    flat = labels.ravel()
    same = flat[one] == flat[other]
    return _number(_union(flat.size, one[same], other[same])).reshape(labels.shape)


def _grid(size: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Cells along each axis, about `count` in all, as square as whole numbers allow."""
    side = (math.prod(size) / min(count, math.prod(size))) ** (1 / len(size))
    choices = [
        {min(max(int(rounded), 1), length) for rounded in (math.floor(length / side), math.ceil(length / side))}
        for length in size
    ]
    return min(
        itertools.product(*map(sorted, choices)),
        key=lambda grid: (abs(math.log(math.prod(grid) / min(count, math.prod(size)))), grid),
    )


def _points(image: np.ndarray, grid: tuple[int, ...], compactness: float) -> np.ndarray:
    """Colours and positions in the units of the distance, a row for each position."""
    size = image.shape[:-1]
    low, high = float(image.min()), float(image.max())
    colours = (np.asarray(image, "float64") - low) * (100 / (high - low) if high > low else 0.0)
    side = (math.prod(size) / math.prod(grid)) ** (1 / len(size))
    places = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1) * (compactness / side)
    return np.concatenate([colours, places], -1).reshape(-1, image.shape[-1] + len(size))


def _near(grid: tuple[int, ...]) -> np.ndarray:
    """Numbers of the cells around each cell, itself included; beyond the edge the edge's own."""
    places = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), -1).reshape(-1, 1, len(grid))
    steps = np.array(list(itertools.product((0, -1, 1), repeat=len(grid))))
    around = np.clip(places + steps, 0, np.array(grid) - 1)  # (cells, 3 ** axes, axes)
    return np.ravel_multi_index(tuple(np.moveaxis(around, -1, 0)), grid)


def _nearest(points: np.ndarray, centres: np.ndarray, members: list[np.ndarray], near: np.ndarray) -> np.ndarray:
    """Nearest centre of each position among those around its grid cell; `members`: the positions of each cell."""
    labels = np.empty(len(points), int)
    half = (centres**2).sum(1) / 2
    for own, around in zip(members, near, strict=True):
        # |p - c|² = |p|² - 2 (p · c - |c|² / 2), and |p|² is the same for all centres.
        labels[own] = around[np.argmax(points[own] @ centres[around].T - half[around], axis=1)]
    return labels


def _means(points: np.ndarray, labels: np.ndarray, count: int, empty: np.ndarray | None = None) -> np.ndarray:
    """Mean point of each label; of one that nothing joined the old centre."""
    number = np.bincount(labels, minlength=count)
    sums = np.stack([np.bincount(labels, column, count) for column in points.T], -1)
    means = sums / np.maximum(number, 1)[:, None]
    return means if empty is None else np.where(number[:, None] > 0, means, empty)


def _tidy(labels: np.ndarray, smallest: float) -> np.ndarray:
    """Only connected segments of at least `smallest` positions, numbered without gaps."""
    regions = connected_regions(labels).ravel()
    one, other = _sides(labels.shape)
    while True:
        sizes = np.bincount(regions)
        left, right = regions[one], regions[other]
        border = left != right
        pairs = np.concatenate([np.stack([left, right], 1)[border], np.stack([right, left], 1)[border]])
        pairs = pairs[sizes[pairs[:, 0]] < smallest]
        if len(pairs) == 0:
            return _number(regions).reshape(labels.shape).astype("int32")
        kinds, touching = np.unique(pairs[:, 0] * len(sizes) + pairs[:, 1], return_counts=True)
        small, neighbour = np.divmod(kinds, len(sizes))
        order = np.lexsort((neighbour, sizes[neighbour], touching, small))
        small, neighbour = small[order], neighbour[order]
        last = np.append(small[1:] != small[:-1], True)  # the neighbour with the longest border, then the largest
        regions = _number(_union(len(sizes), small[last], neighbour[last])[regions])


def _sides(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Flat numbers of the positions on both sides of each shared side."""
    flat = np.arange(math.prod(shape)).reshape(shape)
    one = [np.delete(flat, -1, axis).ravel() for axis in range(len(shape))]
    other = [np.delete(flat, 0, axis).ravel() for axis in range(len(shape))]
    return np.concatenate(one), np.concatenate(other)


def _union(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The smallest number that each of `count` things is linked to, by any way."""
    root = np.arange(count)
    while True:
        left, right = root[one], root[other]
        apart = left != right
        if not apart.any():
            return root
        one, other, left, right = one[apart], other[apart], left[apart], right[apart]
        np.minimum.at(root, np.maximum(left, right), np.minimum(left, right))
        while not np.array_equal(root, root[root]):
            root = root[root]


def _number(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
