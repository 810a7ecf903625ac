"""Backward passes through dense layers with ReLU, written out in NumPy."""

import numpy as np


def backward(weights: list, x: np.ndarray, classes: np.ndarray, rule: str, highest: float = np.inf) -> np.ndarray:
    """What a rule passes back to x from the logit of each sample's class.

    Args:
        weights: kernel and bias of each layer in turn; a ReLU, cut at `highest`, follows all but the last.
        x: (N, features).
        classes: (N,).
        rule: "plain", "guided" or "deconvnet".
    """
    found = np.zeros(x.shape)
    for n in range(len(x)):
        activity, opened = x[n].astype("float64"), []
        for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            before = activity @ kernel + bias
            opened.append((before > 0) & (before < highest))
            activity = np.minimum(np.maximum(before, 0), highest)
        flow = weights[-2][:, classes[n]].astype("float64")
        for kernel, mask in zip(weights[:-2:2][::-1], opened[::-1], strict=True):
            if rule in ("plain", "guided"):
                flow = np.where(mask, flow, 0)
            if rule in ("guided", "deconvnet"):
                flow = np.maximum(flow, 0)
            flow = kernel @ flow
        found[n] = flow
    return found
