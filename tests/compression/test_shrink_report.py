"""What a report of shrinking says."""

import pytest

from keras_arch.compression import ShrinkReport, ShrunkLayer

pytestmark = pytest.mark.backend


def test_a_report_prints_a_row_a_layer_and_the_reasons():
    rows = (ShrunkLayer("conv", 128, 64, 2), ShrunkLayer("head", 10, 10, 0))
    text = str(ShrinkReport(rows, (("norm", "it mixes"),), 123456, 7890))
    assert text.splitlines() == [
        "layer  channels  left  constant",
        "conv        128    64         2",
        "head         10    10         0",
        "norm is kept: it mixes",
        "123,456 parameters, 7,890 left",
    ]
    assert [row.removed for row in rows] == [64, 0]
