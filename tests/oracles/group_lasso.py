"""Group lasso by loops, for any rank."""

import itertools
import math

import numpy as np


def group_lasso(w, axes, strength):
    """strength times the sum over groups of sqrt(entries) times the norm; one group per index along `axes`."""
    w = np.asarray(w, "float64")
    total = 0.0
    for index in itertools.product(*(range(w.shape[axis]) for axis in axes)):
        entries = []
        for position in np.ndindex(w.shape):
            if all(position[axis] == i for axis, i in zip(axes, index, strict=True)):
                entries.append(w[position])
        total += math.sqrt(len(entries)) * math.sqrt(sum(entry * entry for entry in entries))
    return strength * total
