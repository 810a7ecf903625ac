import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import ALiBiBias, RelativePositionBias, RelativePositionBias2D
from keras_arch.layers.positional.position_bias import PositionBias, paired_positions

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


BIASES = [ALiBiBias(2), RelativePositionBias(2, 8, 16)]


@pytest.mark.parametrize("index", range(len(BIASES)))
def test_queries_stand_at_the_end_of_the_keys(index):
    bias, x = BIASES[index], np.zeros((3, 7, 4), "float32")
    whole = values(bias(x))
    assert whole.shape == (1, 2, 7, 7)
    for length in (1, 3):
        np.testing.assert_array_equal(values(bias(x[:, :length], x)), whole[:, :, -length:])


@pytest.mark.parametrize("index", range(len(BIASES)))
def test_positions_of_each_sample_give_a_bias_of_each_sample(index):
    bias, x = BIASES[index], np.zeros((2, 3, 4), "float32")
    positions = np.array([[0, 1, 2], [7, 5, 6]], "int32")
    got = values(bias(x, query_positions=positions, key_positions=positions))
    assert got.shape == (2, 2, 3, 3)
    for row in range(2):
        np.testing.assert_array_equal(got[row], values(bias.between(positions[row], positions[row])))
    mixed = values(bias.between(positions, np.arange(4)))
    assert mixed.shape == (2, 2, 3, 4)
    np.testing.assert_array_equal(mixed[1], values(bias.between(positions[1], np.arange(4))))


@pytest.mark.parametrize("index", range(len(BIASES)))
def test_shifted_positions_give_the_same_bias(index):
    queries, keys = np.arange(5), np.arange(9)
    wanted = values(BIASES[index].between(queries, keys))
    np.testing.assert_array_equal(values(BIASES[index].between(queries + 1_000_000, keys + 1_000_000)), wanted)


def test_symbolic_shapes_follow_queries_keys_and_positions():
    def spec(*shape, dtype="float32"):
        return keras.KerasTensor(shape, dtype=dtype)

    bias = ALiBiBias(2)
    assert bias(spec(None, 3, 4)).shape == (1, 2, 3, 3)
    assert bias(spec(None, 3, 4), spec(None, None, 4)).shape == (1, 2, 3, None)
    positions = spec(None, 3, dtype="int32")
    assert bias(spec(None, 3, 4), query_positions=positions).shape == (None, 2, 3, 3)


def test_masks_of_the_inputs_do_not_reach_the_bias():
    inputs = keras.Input((5,), dtype="int32")
    embedded = keras.layers.Embedding(9, 4, mask_zero=True)(inputs)
    assert getattr(ALiBiBias(2)(embedded), "_keras_mask", None) is None
    assert all(issubclass(one, PositionBias) for one in (ALiBiBias, RelativePositionBias, RelativePositionBias2D))


@pytest.mark.parametrize("index", range(len(BIASES)))
def test_bad_positions_say_what_to_do(index):
    with pytest.raises(ValueError, match="query_positions must be integers"):
        BIASES[index].between(np.zeros(3), np.arange(3))
    with pytest.raises(ValueError, match=r"key_positions must have rank 1 or 2; received key_positions=\(1, 1, 3\)"):
        paired_positions(np.arange(3), np.zeros((1, 1, 3), "int32"))
    with pytest.raises(ValueError, match="num_heads must be an integer >= 1"):
        type(BIASES[index])(num_heads=0)
