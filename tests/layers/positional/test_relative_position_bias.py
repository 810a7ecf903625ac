import keras
import numpy as np
import pytest
from keras import ops
from oracles.relative_position import t5_bucket

from keras_arch.layers import RelativePositionBias

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_bias_is_the_row_of_the_bucket(bidirectional):
    layer = RelativePositionBias(3, num_buckets=8, max_distance=20, bidirectional=bidirectional)
    got = values(layer(np.zeros((1, 30, 2)), np.zeros((1, 35, 2))))
    table = values(layer.embeddings)
    assert table.shape == (8, 3)
    for t in range(30):
        for s in range(35):
            wanted = table[t5_bucket(s - (t + 5), 8, 20, bidirectional)]
            np.testing.assert_array_equal(got[0, :, t, s], wanted)


def test_table_is_rounded_to_the_compute_dtype_and_kept_in_float32():
    layer = RelativePositionBias(2, dtype="mixed_bfloat16")
    layer.build()
    assert layer.embeddings.dtype == "float32"
    bias = layer.between(np.arange(3), np.arange(3))  # outside of call, where Keras does not cast
    assert keras.backend.standardize_dtype(bias.dtype) == "bfloat16"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_buckets": 7}, "num_buckets must be even for two directions"),
        ({"max_distance": 4}, "max_distance must be an integer >= 9"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        RelativePositionBias(2, **arguments)
