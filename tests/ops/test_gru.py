"""One step of layer-normalized gated recurrent units, away from any layer."""

import numpy as np
import pytest
from keras import ops
from oracles.gru import layer_norm_gru

from keras_arch.ops.gru import layer_norm_gru_step
from keras_arch.ops.layer_norm import Norm

pytestmark = pytest.mark.backend

UNITS = 3


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_step_equals_the_loop(rng, reset_after):
    from_inputs, h = rng.normal(size=(2, 1, 3 * UNITS)), rng.normal(size=(2, UNITS))
    recurrent, drop = rng.normal(size=(UNITS, 3 * UNITS)), np.array([0.0, 2.0, 2.0])
    bias = rng.normal(size=(2, 3 * UNITS) if reset_after else 3 * UNITS)
    norms = [rng.normal(size=size) for size in [2 * UNITS] * 4 + [UNITS] * 4]
    weights = [np.eye(3 * UNITS), recurrent, bias, *norms]
    _, expected = layer_norm_gru(from_inputs, weights, 1e-2, reset_after, h=h, drop=drop)
    tensor = lambda v: ops.convert_to_tensor(v.astype("float32"))  # noqa: E731
    got = layer_norm_gru_step(
        tensor(from_inputs[:, 0]),
        tensor(h),
        tensor(h * drop),
        tensor(recurrent),
        (tensor(bias[0]), tensor(bias[1])) if reset_after else (tensor(bias), None),
        [Norm(*map(tensor, norms[i : i + 2])) for i in (0, 2, 4, 6)],
        1e-2,
        ops.tanh,
        ops.sigmoid,
        reset_after,
    )
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, rtol=1e-4, atol=1e-6)
