"""Single steps of the LSTM and its kin, away from any layer."""

import math

import numpy as np
import pytest
from keras import ops
from oracles.lstm import coupled_gate_lstm, layer_norm_lstm, peephole_lstm

from keras_arch.ops.layer_norm import Norm
from keras_arch.ops.lstm import coupled_gate_lstm_step, layer_norm_lstm_step, peephole_lstm_step

pytestmark = pytest.mark.backend


def test_a_step_equals_the_loop(rng):
    units = 3
    norms = [rng.normal(size=size).astype("float32") for size in (12, 12, 12, 12, 3, 3)]
    x, h, c = (rng.normal(size=shape).astype("float32") for shape in [(2, 1, 12), (2, units), (2, units)])
    recurrent, bias = rng.normal(size=(units, 12)).astype("float32"), rng.normal(size=12).astype("float32")
    _, expected_h, expected_c = layer_norm_lstm(x, [np.eye(12), recurrent, bias, *norms], 1e-2, h, c)
    as_tensors = [ops.convert_to_tensor(v) for v in norms]
    got_h, got_c = layer_norm_lstm_step(
        ops.convert_to_tensor(x[:, 0]),
        ops.matmul(h, recurrent),
        ops.convert_to_tensor(c),
        ops.convert_to_tensor(bias),
        tuple(Norm(*as_tensors[i : i + 2]) for i in (0, 2, 4)),
        1e-2,
        ops.tanh,
        ops.sigmoid,
    )
    np.testing.assert_allclose(ops.convert_to_numpy(got_h), expected_h, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(got_c), expected_c, rtol=1e-4, atol=1e-6)


def test_without_bias_is_with_a_bias_of_zeros():
    norms = tuple(Norm(ops.ones((size,)), ops.zeros((size,))) for size in (8, 8, 2))
    arguments = ops.reshape(ops.arange(8, dtype="float32"), (1, 8)), ops.ones((1, 8)), ops.ones((1, 2))
    one, other = (
        layer_norm_lstm_step(*arguments, bias, norms, 1e-3, ops.tanh, ops.sigmoid) for bias in (None, ops.zeros((8,)))
    )
    for got, expected in zip(one, other, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(got), ops.convert_to_numpy(expected))
    assert not math.isclose(float(one[0][0, 0]), 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_step_with_peepholes_equals_the_loop_in_any_precision(rng, dtype):
    gates, h, c = (rng.normal(size=shape).astype(dtype) for shape in [(2, 1, 12), (2, 3), (2, 3)])
    peepholes = rng.normal(size=(3, 3)).astype("float32")
    expected = peephole_lstm(gates, [np.eye(12), np.zeros((3, 12)), np.zeros(12), *peepholes], h, c)[1:]
    tensors = [ops.convert_to_tensor(v) for v in (gates[:, 0], c, *peepholes)]
    got_states = peephole_lstm_step(*tensors[:2], tuple(tensors[2:]), ops.tanh, ops.sigmoid)
    for got, wanted in zip(got_states, expected, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(got), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_step_with_coupled_gates_equals_the_loop_in_any_precision(rng, dtype):
    gates, h, c = (rng.normal(size=shape).astype(dtype) for shape in [(2, 1, 9), (2, 3), (2, 3)])
    expected = coupled_gate_lstm(gates, [np.eye(9), np.zeros((3, 9)), np.zeros(9)], h, c)[1:]
    arguments = (ops.convert_to_tensor(v) for v in (gates[:, 0], c))
    for got, wanted in zip(coupled_gate_lstm_step(*arguments, ops.tanh, ops.sigmoid), expected, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(got), wanted, rtol=1e-4, atol=1e-6)
