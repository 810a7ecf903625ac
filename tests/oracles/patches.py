"""Patches of images in NumPy: cut, flatten, multiply, float64."""

import numpy as np


def cut_into_patches(images, size):
    """(B, h, w, C) into (B, rows * columns, size * size * C), row by row, by reshapes: patches do not overlap."""
    batch, height, width, channels = images.shape
    cut = images.reshape(batch, height // size, size, width // size, size, channels)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, size * size * channels)


def patch_loop(images, kernel, bias, strides):
    """Tokens (B, rows * columns, D) of patches of the kernel (p, q, C, D) that stand `strides` apart."""
    height, width = kernel.shape[:2]
    tokens = []
    for top in range(0, images.shape[1] - height + 1, strides[0]):
        for left in range(0, images.shape[2] - width + 1, strides[1]):
            patch = images[:, top : top + height, left : left + width].astype("float64")
            tokens.append(patch.reshape(len(images), -1) @ kernel.reshape(-1, kernel.shape[-1]) + bias)
    return np.stack(tokens, axis=1)
