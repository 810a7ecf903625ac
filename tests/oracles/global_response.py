"""Global response normalization, channel by channel in float64."""

import numpy as np


def global_response_loop(x: np.ndarray, epsilon: float) -> np.ndarray:
    """x times its channel's norm over the mean norm; x: (B, ..., C)."""
    output = np.zeros(x.shape)
    for b, image in enumerate(x.astype("float64")):
        norms = [np.linalg.norm(image[..., c].ravel()) for c in range(x.shape[-1])]
        for c, norm in enumerate(norms):
            output[b, ..., c] = image[..., c] * norm / (sum(norms) / len(norms) + epsilon)
    return output
