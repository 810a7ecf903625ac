"""Models whose Shapley values are known, and the values of any model by enumeration."""

import keras
import numpy as np
from keras import ops
from oracles.perturbation import blend
from oracles.shapley import shapley


class Closed(keras.Model):
    """A model given by a formula of keras.ops."""

    def __init__(self, formula):
        super().__init__()
        self.formula = formula

    def call(self, inputs):
        return self.formula(inputs)


def net(shape, seed=1):
    """Smooth, every bias nonzero."""
    keras.utils.set_random_seed(seed)
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(6, "tanh", bias_initializer="random_normal"),
        keras.layers.Dense(3, bias_initializer="random_normal"),
    ]
    return keras.Sequential([keras.Input(shape), *layers])


def enumerated(model, sample, labels, rows, index):
    """Shapley values of one sample by their definition; features that are away take the values of each row."""
    known = {}

    def value(kept):
        if kept not in known:
            seen = np.stack([blend(sample, labels, set(kept), row) for row in rows])
            known[kept] = float(ops.convert_to_numpy(model(seen))[:, index].mean(dtype="float64"))
        return known[kept]

    return shapley(int(labels.max()) + 1, value)
