import numpy as np
import pytest
from keras import ops
from oracles import recurrence as oracle

from keras_arch.layers import MinLSTM

pytestmark = pytest.mark.backend

numpy = ops.convert_to_numpy


def test_it_is_the_formula_step_by_step(rng):
    layer = MinLSTM(3, gate_bias_initializer="random_normal", return_sequences=True)
    layer.build((2, 7, 4))
    x = rng.normal(size=(2, 7, 4)).astype("float32")
    mask = rng.random((2, 7)) > 0.4
    (wi, bi), (wf, bf) = (gate.get_weights() for gate in layer.gates)
    wc, bc = layer.candidate.get_weights()
    enter, keep = oracle.sigmoid(x @ wi + bi), oracle.sigmoid(x @ wf + bf)
    total = enter + keep
    for given in (None, mask):
        a, b = keep / total, enter / total * (x @ wc + bc)
        if given is not None:
            a, b = np.where(given[..., None], a, 1), np.where(given[..., None], b, 0)
        got = numpy(layer(x, mask=given))
        np.testing.assert_allclose(got, oracle.linear_recurrence(a, b), rtol=1e-4, atol=1e-5)


def test_gates_that_are_both_shut_still_share():
    """σ(−200) is zero in float32, and so are both gates: the share of each stays a half."""
    layer = MinLSTM(1, use_bias=False, kernel_initializer="ones")
    x = np.full((1, 1, 1), -200.0, "float32")
    np.testing.assert_allclose(numpy(layer(x)), [[-100.0]])
