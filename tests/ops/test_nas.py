"""The searched step alone."""

import numpy as np
import pytest
from keras import ops

from keras_arch.ops.nas import nas_step

pytestmark = pytest.mark.backend


def step(p, q, c):
    return [float(ops.convert_to_numpy(v)[0, 0]) for v in nas_step(*(np.array([v], "float32") for v in (p, q, c)))]


def test_the_product_gate_sees_no_sum():
    zeros, p = [0.0] * 8, [0, 0, 0, 2.0, 0, 0, 0, 0]
    assert step(p, zeros, [1.0])[1] == pytest.approx(np.tanh(1.0) * np.tanh(0.5), abs=1e-6)
    assert step(p, p, [1.0])[1] == pytest.approx(np.tanh(1.0) * np.tanh(4.5), abs=1e-6)
    assert step(p, [0, 0, 0, -2.0, 0, 0, 0, 0], [1.0])[1] == pytest.approx(np.tanh(1.0) * np.tanh(0.5), abs=1e-6)


def test_half_precision_is_widened():
    h, c = nas_step(*(ops.cast(np.ones((1, n)), "float16") for n in (16, 16, 2)))
    assert {str(ops.convert_to_numpy(v).dtype) for v in (h, c)} == {"float32"}
