"""The LSTM cell with one mask for its four gates."""

import pytest
from keras import ops

from keras_arch.layers.recurrent.tied_dropout import TiedDropoutLSTMCell

pytestmark = pytest.mark.backend


def test_one_mask_serves_all_gates():
    cell = TiedDropoutLSTMCell(2, recurrent_dropout=0.5)
    assert tuple(cell.get_recurrent_dropout_mask(ops.ones((4, 2))).shape) == (4, 2)  # Keras's own cell: a list of four


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"recurrent_dropout must be a number in \[0, 1\)"):
        TiedDropoutLSTMCell(2, recurrent_dropout=1)
