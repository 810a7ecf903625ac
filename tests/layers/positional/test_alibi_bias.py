import keras
import numpy as np
import pytest
from keras import ops
from oracles.relative_position import alibi

from keras_arch.layers import ALiBiBias

pytestmark = pytest.mark.backend

EPSILON = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("heads", [2, 3])
def test_bias_is_the_slope_times_the_distance(heads):
    got = values(ALiBiBias(heads)(np.zeros((1, 4, 2)), np.zeros((1, 6, 2))))
    np.testing.assert_allclose(got[0], alibi(heads, range(2, 6), range(6)), rtol=1e-7)


def test_causal_bias_hides_later_keys():
    got = values(ALiBiBias(3, causal=True).between(np.array([3, 1]), np.arange(5)))
    wanted = alibi(3, [3, 1], range(5), causal=True)
    hidden = np.isinf(wanted)
    np.testing.assert_allclose(got[~hidden], wanted[~hidden], rtol=1e-7)
    assert (got[hidden] <= -1e30).all()
    assert np.isfinite(got).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_bias_is_within_one_unit_in_the_last_place_up_to_position_a_million(dtype):
    queries, keys = np.array([0, 3, 999_999]), np.concatenate([np.arange(40), np.arange(999_900, 1_000_000)])
    bias = ALiBiBias(12, dtype=dtype).between(queries, keys)
    assert keras.backend.standardize_dtype(bias.dtype) == dtype
    wanted = alibi(12, queries, keys)
    wanted = np.maximum(wanted, -65504.0) if dtype == "float16" else wanted
    size = np.maximum(np.abs(wanted), 2.0**-14 if dtype == "float16" else 2.0**-126)
    units = np.abs(values(bias) - wanted) / (np.exp2(np.floor(np.log2(size))) * EPSILON[dtype])
    assert units.max() <= (1.0 if dtype == "float32" else 0.501)


def test_causal_bias_of_float16_hides_and_stays_finite():
    bias = values(ALiBiBias(2, causal=True, dtype="float16").between(np.array([0]), np.array([0, 1])))
    assert bias[:, 0].tolist() == [[0.0, -32752.0], [0.0, -32752.0]]
