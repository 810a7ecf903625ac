"""What rates are allowed, and that one mask serves all gates."""

import pytest
from keras import ops

from keras_arch.layers.recurrent.tied_dropout import TiedDropoutLSTMCell, rate

pytestmark = pytest.mark.backend


def test_one_mask_serves_all_gates():
    cell = TiedDropoutLSTMCell(2, recurrent_dropout=0.5)
    assert tuple(cell.get_recurrent_dropout_mask(ops.ones((4, 2))).shape) == (4, 2)  # Keras's own cell: a list of four


def test_rates_are_checked():
    assert rate("dropout", 0.25) == 0.25
    with pytest.raises(ValueError, match=r"dropout must be a number in \[0, 1\); received dropout=1"):
        rate("dropout", 1)
