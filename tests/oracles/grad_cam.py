"""Grad-CAM of one convolution, global average pooling and one dense layer, with loops and a gradient by hand."""

import numpy as np


def convolve(images: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Valid cross-correlation (N, H, W, Cin) with (h, w, Cin, Cout), in float64."""
    height, width = kernel.shape[:2]
    rows, columns = images.shape[1] - height + 1, images.shape[2] - width + 1
    out = np.zeros((len(images), rows, columns, kernel.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            patch = images[:, row : row + height, column : column + width]
            out[:, row, column] = np.einsum("nhwi,hwio->no", patch, kernel) + bias
    return out


def grad_cam(
    features: np.ndarray, head: np.ndarray, classes: np.ndarray, slope: np.ndarray | float = 1.0
) -> np.ndarray:
    """Maps (N, h, w) before ReLU for score = slope(mean(features) @ head + bias)[class].

    Args:
        features: (N, h, w, C).
        head: (C, classes), the dense kernel.
        classes: (N,) class of each sample.
        slope: derivative of the score by its logit, (N,), where an activation follows.
    """
    samples, height, width, _ = features.shape
    maps = np.zeros((samples, height, width))
    for n in range(samples):
        # The score reads the mean of each feature map, so its gradient is the same at each position.
        alpha = np.broadcast_to(slope, (samples,))[n] * head[:, classes[n]] / (height * width)
        for y in range(height):
            for x in range(width):
                maps[n, y, x] = np.dot(alpha, features[n, y, x])
    return maps
