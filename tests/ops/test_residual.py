import numpy as np
import pytest
from keras import ops

from keras_arch.ops.residual import deepnorm_constants, residual

pytestmark = pytest.mark.backend


def test_placements_write_out_the_four_sums(rng):
    x = rng.standard_normal((2, 3)).astype("float32")
    cases = {
        "pre": x + np.tanh(x * x),
        "sandwich": x + np.tanh(x * x),
        "post": (x + np.tanh(x)) ** 2,
        "deepnorm": (1.5 * x + np.tanh(x)) ** 2,
    }
    for placement, expected in cases.items():
        got = residual(ops.convert_to_tensor(x), ops.tanh, ops.square, placement, 1.5)
        np.testing.assert_allclose(ops.convert_to_numpy(got), expected, rtol=1e-5, atol=1e-6)


def test_a_branch_of_zeros_leaves_pre_the_input_itself(rng):
    x = ops.convert_to_tensor(rng.standard_normal((2, 3)).astype("float16"))
    got = residual(x, ops.zeros_like, ops.tanh)
    np.testing.assert_array_equal(ops.convert_to_numpy(got), ops.convert_to_numpy(x))
    assert residual(x, ops.zeros_like, ops.tanh, "deepnorm", 1.7).dtype == x.dtype


@pytest.mark.parametrize(
    ("num_layers", "stack", "alpha", "beta"),
    [
        (6, "encoder", 12**0.25, 48**-0.25),
        (6, "decoder", 12**0.25, 48**-0.25),
        ((6, 4), "encoder", 0.81 * 5184 ** (1 / 16), 0.87 * 5184 ** (-1 / 16)),
        ((6, 4), "decoder", 12**0.25, 48**-0.25),
        ((3, 5), "decoder", 15**0.25, 60**-0.25),
    ],
)
def test_deepnorm_constants_are_those_of_the_table(num_layers, stack, alpha, beta):
    np.testing.assert_allclose(deepnorm_constants(num_layers, stack), (alpha, beta), rtol=1e-12)


def test_bad_arguments_say_what_to_do():
    with pytest.raises(ValueError, match=r"num_layers must be an integer >= 1; received num_layers=0"):
        deepnorm_constants(0, "encoder")
    with pytest.raises(ValueError, match=r"num_layers must be a number or a pair; received num_layers=\(1, 2, 3\)"):
        deepnorm_constants((1, 2, 3), "encoder")
    with pytest.raises(ValueError, match="stack must be one of 'decoder', 'encoder'"):
        deepnorm_constants(1, "middle")
