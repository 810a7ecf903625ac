"""Numbers to the 8-bit pictures that tf-explain makes of them."""

import math
import os
from typing import Any

import numpy as np

from keras_arch.core import check, optional

# OpenCV's numbers of the colormaps that matplotlib has with equal tables.
_EQUAL = {
    0: "autumn",
    7: "spring",
    8: "cool",
    13: "magma",
    14: "inferno",
    15: "plasma",
    16: "viridis",
    17: "cividis",
    20: "turbo",
}
VIRIDIS = 16


def tiled(pictures: np.ndarray) -> np.ndarray:
    """Lay pictures out in the smallest square of tiles, row by row, black where there is none.

    Args:
        pictures: (N, h, w) or (N, h, w, C).
    Returns:
        (r h, r w) or (r h, r w, C), r = ⌈√N⌉.

    >>> tiled(np.ones((2, 1, 2), "uint8")).tolist()
    [[1, 1, 1, 1], [0, 0, 0, 0]]
    """
    side = math.ceil(math.sqrt(len(pictures)))
    grid = np.zeros((side * side, *pictures.shape[1:]), pictures.dtype)
    grid[: len(pictures)] = pictures
    grid = grid.reshape(side, side, *pictures.shape[1:])  # (r, r, h, w, ...)
    grid = np.swapaxes(grid, 1, 2)  # (r, h, r, w, ...)
    return grid.reshape(side * pictures.shape[1], side * pictures.shape[2], *pictures.shape[3:])


def standardized(values: np.ndarray) -> np.ndarray:
    """Sum |values| over channels, standardize by mean and deviation of the whole batch, and make bytes of 255 times it.

    What lies below the mean, or more than a deviation above it, is out of the range of bytes: TensorFlow's cast, which
    decides here too, clips most of it, and lets the last few numbers of an array wrap around.

    Args:
        values: float32 (N, h, w, C).
    Returns:
        uint8 (N, h, w).

    >>> standardized(np.ones((1, 2, 2, 3), "float32")).tolist()
    [[[0, 0], [0, 0]]]
    """
    import tensorflow as tf

    gray = np.abs(values).sum(-1, dtype="float32")
    deviation = max(gray.std(dtype="float32"), 1 / math.sqrt(gray.size))
    levels = np.float32(255) * ((gray - gray.mean(dtype="float32")) / np.float32(deviation))
    return tf.cast(levels, "uint8").numpy()


def as_bytes(image: np.ndarray) -> np.ndarray:
    """An image as uint8: of floats, [0, 1] is meant, or [-1, 1] where one of them is negative.

    >>> as_bytes(np.array([-1.0, 0.0, 1.0])).tolist()
    [0, 127, 255]
    """
    if image.dtype == np.uint8:
        return image
    image = (image + 1.0) / 2.0 if image.min() < 0 else image
    return ((image * 255).astype("int64") % 256).astype("uint8")


def colored(levels: np.ndarray, colormap: int = VIRIDIS) -> np.ndarray:
    """Give gray levels the colors of one of OpenCV's colormaps.

    Args:
        levels: uint8 (h, w).
        colormap: OpenCV's number of it; 16 is viridis. Of those that matplotlib has otherwise, OpenCV is asked.
    Returns:
        uint8 (h, w, 3), red first.
    Raises:
        ImportError: for a colormap that takes OpenCV, where it is missing.

    >>> colored(np.array([[0, 255]], "uint8")).tolist()
    [[[68, 1, 84], [253, 231, 37]]]
    """
    if colormap in _EQUAL:
        import matplotlib

        table = matplotlib.colormaps[_EQUAL[colormap]](np.arange(256))[:, :3]
        return np.rint(table * 255).astype("uint8")[levels]
    cv2 = optional.require("cv2", extra="interop", purpose=f"OpenCV's colormap number {colormap}")
    return cv2.applyColorMap(levels, colormap)[..., ::-1]


def resized(heatmap: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resample a map as OpenCV's bilinear `resize` does, in the map's own precision.

    The value at i reads the map at (i + 1/2) · old / new - 1/2 along each axis, held at the borders.

    Args:
        heatmap: float (rows, columns).
        size: (height, width).

    >>> resized(np.array([[0.0, 1.0]]), (1, 4)).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    for axis, new in reversed(list(enumerate(size))):
        old = heatmap.shape[axis]
        place = np.clip(((np.arange(new) + 0.5) * (old / new) - 0.5).astype("float32"), 0, old - 1)
        first = np.minimum(place.astype(int), old - 1)
        share = (place - first).astype("float32").reshape((-1, 1) if axis == 0 else (1, -1))
        before, after = (np.take(heatmap, index, axis) for index in (first, np.minimum(first + 1, old - 1)))
        heatmap = (before * (1 - share) + after * share).astype(heatmap.dtype)
    return heatmap


def overlaid(heatmap: np.ndarray, image: np.ndarray, colormap: int = VIRIDIS, image_weight: float = 0.7) -> np.ndarray:
    """Stretch a map over an image and between 0 and 1, color it and add the image to it.

    Args:
        heatmap: float (rows, columns).
        image: (h, w, 3) or (h, w, 1).
        colormap: see `colored`.
        image_weight: of the image; 0 shows the map alone.
    Returns:
        uint8 (h, w, 3). A map of one value everywhere counts as 0.

    >>> overlaid(np.array([[0.0, 1.0]]), np.zeros((1, 2, 3), "uint8")).tolist()
    [[[68, 1, 84], [253, 231, 37]]]
    """
    if image.ndim != 3 or image.shape[-1] not in (1, 3):
        advice = "Pass images (N, h, w, 3) or (N, h, w, 1)."
        raise check.refuse("validation_data", "must hold images of one or three channels", image.shape, advice)
    heatmap = resized(heatmap, image.shape[:2])
    low, high = heatmap.min(), heatmap.max()
    levels = ((heatmap - low) / (high - low) * 255).astype("uint8") if high > low else np.zeros(heatmap.shape, "uint8")
    mixed = as_bytes(image).astype("float32") * np.float32(image_weight) + colored(levels, colormap)
    return np.clip(np.rint(mixed), 0, 255).astype("uint8")


def write(grid: np.ndarray, output_dir: Any, output_name: str) -> None:
    """Write a picture into a folder, which is made where it is missing; the name's ending says the format.

    Args:
        grid: uint8 (h, w) or (h, w, 3).
        output_dir: the folder.
        output_name: such as "grid.png".
    """
    from PIL import Image  # matplotlib brings it

    os.makedirs(output_dir, exist_ok=True)
    Image.fromarray(grid).save(os.path.join(output_dir, output_name))
