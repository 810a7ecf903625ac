"""The data of the demo: real handwritten digits, bundled with scikit-learn."""

from typing import NamedTuple

import numpy as np

from keras_arch.core.optional import require

TEST_SIZE = 450


class Digits(NamedTuple):
    """Images float32 (N, 8, 8, 1) in [0, 1] and labels int (N,), to train on and to test on."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load_digits(seed: int) -> Digits:
    """Load the 1797 digits of 43 writers and keep 450 of them aside.

    Args:
        seed: of the permutation that divides them.
    Raises:
        ImportError: if scikit-learn is missing.
    Source: Alpaydin & Kaynak 1998, UCI "Optical Recognition of Handwritten Digits", as bundled with scikit-learn.
    """
    bunch = require("sklearn.datasets", extra="demo", purpose="Loading the digits").load_digits()
    images = (bunch.images / 16.0).astype("float32")[..., None]  # (N, 8, 8, 1)
    order = np.random.default_rng(seed).permutation(len(images))
    images, labels = images[order], bunch.target[order]
    return Digits(images[TEST_SIZE:], labels[TEST_SIZE:], images[:TEST_SIZE], labels[:TEST_SIZE])
