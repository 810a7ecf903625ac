"""Recurrent layers."""

import keras
import numpy as np
import pytest
from oracles.relevance import dense_relevance

from keras_arch.core import walk
from keras_arch.explain.relevance.ledger import Ledger
from keras_arch.explain.relevance.loops import looping
from keras_arch.explain.relevance.lrp import LRP

L = keras.layers


@pytest.mark.backend
def test_a_simple_rnn_equals_loops_in_numpy(rng):
    layer = L.SimpleRNN(6, bias_initializer=keras.initializers.RandomNormal(stddev=0.3))
    model = keras.Sequential([keras.Input((4, 3)), layer])
    x = rng.normal(size=(2, 4, 3)).astype("float32")
    got = LRP(epsilon=0).explain(model, x, 1)
    kernel, recurrent, bias = layer.get_weights()
    both = np.concatenate([kernel, recurrent])
    for n in range(2):
        states = [np.zeros(6)]
        for step in x[n]:
            states.append(np.tanh(step @ kernel + states[-1] @ recurrent + bias))
        relevance = np.zeros(6)
        relevance[1] = states[-1][1]
        for t in reversed(range(4)):
            inner = np.concatenate([x[n, t], states[t]])
            handed = dense_relevance(inner, both, bias, relevance, "epsilon", epsilon=1e-30)
            np.testing.assert_allclose(got.values[n, t], handed[:3], rtol=1e-3, atol=1e-5)
            relevance = handed[3:]


@pytest.mark.backend
@pytest.mark.parametrize("kind", [L.LSTM, L.GRU, L.SimpleRNN])
def test_recurrent_layers_conserve_without_biases(rng, kind):
    x = rng.normal(size=(3, 5, 4)).astype("float32")
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, L.Dense(2, use_bias=False)(L.Bidirectional(kind(3, use_bias=False))(inputs)))
    got = LRP(epsilon=0).explain(model, x, 1)
    np.testing.assert_allclose(got.values.sum((1, 2)), got.scores, atol=1e-5 * np.abs(got.values).sum())


def test_cells_are_as_before():
    layer = L.Bidirectional(L.LSTM(3))
    layer.build((None, 5, 4))
    before = {path: dict(vars(part)) for path, part in walk.walk(layer)}
    forward = layer.forward_layer
    with looping(forward, Ledger(keras.ops.ones(()))):
        assert forward.cell.recurrent_activation is not keras.activations.sigmoid
    assert {path: dict(vars(part)) for path, part in walk.walk(layer)} == before
