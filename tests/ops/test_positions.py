import numpy as np
import pytest
from keras import ops

from keras_arch.ops.positions import as_positions, is_number, sequence_length, token_positions

pytestmark = pytest.mark.backend


def numbers(tensor):
    return ops.convert_to_numpy(tensor).tolist()


def test_positions_count_from_the_start_or_are_those_given():
    x = np.zeros((2, 3, 4))
    assert numbers(token_positions(x)) == [0, 1, 2]
    assert numbers(token_positions(x, start_index=ops.convert_to_tensor(7))) == [7, 8, 9]
    given = np.array([[0, 0, 1], [5, 6, 7]], "int64")
    assert numbers(token_positions(x, positions=given)) == given.tolist()
    assert tuple(token_positions(x, positions=np.array([[1, 2, 3]])).shape) == (1, 3)


def test_length_is_the_last_position_plus_one_unless_told():
    x = np.zeros((2, 3, 4))
    assert sequence_length(x, 5) == 8
    assert sequence_length(x, 5, length=20) == 20
    assert numbers(sequence_length(x, ops.convert_to_tensor(5))) == 8
    assert numbers(sequence_length(x, positions=np.array([[3, 9, 4]]))) == 10
    assert numbers(sequence_length(x, length=ops.convert_to_tensor(6))) == 6
    assert is_number(np.int64(3))
    assert not is_number(ops.convert_to_tensor(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start_index": 1.5}, "start_index must be an integer scalar; received shape"),
        ({"start_index": np.array([0, 1])}, "Pass positions, one per sample"),
        ({"start_index": 1, "positions": np.arange(3)}, "exclude each other"),
        ({"positions": np.zeros(3)}, "positions must be integers"),
        ({"positions": np.arange(4)}, r"received positions=\(4,\).*\(3,\) and \(2, 3\)"),
        ({"positions": np.zeros((3, 3), "int32")}, "must have the length or the batch and length"),
    ],
)
def test_bad_positions_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        token_positions(np.zeros((2, 3, 4)), **arguments)


def test_bad_lengths_and_names_say_what_to_do():
    with pytest.raises(ValueError, match="length must be an integer >= 1"):
        sequence_length(np.zeros((2, 3, 4)), length=0)
    with pytest.raises(ValueError, match="length must be an integer scalar.*one number for the batch"):
        sequence_length(np.zeros((2, 3, 4)), length=np.array([3, 4]))
    with pytest.raises(ValueError, match="key_positions must be integers; received the dtype float"):
        as_positions("key_positions", [0.5])
