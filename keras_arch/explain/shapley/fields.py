"""What the methods that share out a score have in common in their results."""

from typing import Any

import numpy as np

from keras_arch.explain.perturbation.segments import Segmentation


def fields(
    features: np.ndarray, empty: np.ndarray, scores: np.ndarray, segmentation: Segmentation, inputs: Any
) -> dict[str, Any]:
    """Fields of an `Attribution` whose features add up to the change of the score.

    Args:
        features: (N, M) shares, NaN beyond the features of a sample.   N: samples.
        empty: (N,) score without any feature.
        scores: (N,) F(x).
        segmentation: the feature of each position.
        inputs: what was explained.

    >>> from keras_arch.explain.perturbation.segments import Positions, segment
    >>> x = np.zeros((1, 2))
    >>> parts = fields(np.array([[1.0, 2.0]]), np.zeros(1), np.array([3.0]), segment(Positions(), x), x)
    >>> parts["values"].tolist(), parts["convergence_delta"].tolist()
    ([[1.0, 2.0]], [0.0])
    """
    return {
        "values": segmentation.spread(features, inputs),
        "baseline_scores": empty.astype("float32"),
        "convergence_delta": (np.nansum(features, axis=1) - (scores - empty)).astype("float32"),
        "details": {"features": features.astype("float32"), "segments": segmentation.maps(inputs)},
    }
