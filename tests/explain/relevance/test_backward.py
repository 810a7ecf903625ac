"""The sum that is checked: relevance and what is absorbed, against the score."""

import keras
import numpy as np
import pytest

from keras_arch.explain.probe import Probe
from keras_arch.explain.relevance.backward import Backward
from keras_arch.explain.relevance.composite import Composite
from keras_arch.explain.target import select

L = keras.layers


class Free(keras.Model):
    """A model with an operation in its call that no layer has."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.inner, self.head = L.Dense(4, bias_initializer="ones"), L.Dense(2, bias_initializer="ones")

    def call(self, inputs):
        return self.head(self.function(self.inner(inputs)))


def gap(model, x) -> float:
    probe = Probe(model)
    kind = Backward(Composite(), "constant")
    parts = [results[3] for _, results in probe.each(kind, select(1, probe.survey(x).outputs, len(x)), x)]
    return float(np.max([keras.ops.convert_to_numpy(part).max() for part in parts]))


@pytest.mark.backend
def test_the_gap_tells_operations_that_relevance_flows_through(rng):
    x = rng.normal(size=(5, 3)).astype("float32")
    for function in (keras.ops.relu, lambda x: 2 * x, lambda x: keras.ops.flip(keras.ops.abs(x), 1)):
        assert gap(Free(function), x) < 1e-5
    for function in (lambda x: keras.ops.tanh(2 * x), keras.ops.square, lambda x: x * keras.ops.sigmoid(x)):
        assert gap(Free(function), x) > 1e-2
