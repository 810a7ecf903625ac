"""Reports of LSUV: frozen rows, a verdict, a table."""

import dataclasses

import pytest

from keras_arch.initializers.lsuv_report import LayerVariance, LSUVReport

ROWS = (
    LayerVariance("backbone/conv", 12.5, 1.004, 2),
    LayerVariance("zero", 0.0, 0.0, 0, "kernel is zero"),
)


def test_rows_that_were_left_do_not_count_against_convergence():
    assert LSUVReport(ROWS, 0.01).converged
    assert not LSUVReport(ROWS, 0.001).converged
    assert not LSUVReport((LayerVariance("a", 2.0, 2.0, 0, ""),), 0.01).converged


def test_a_report_prints_as_a_table_and_is_frozen():
    report = LSUVReport(ROWS, 0.01)
    assert str(report) == (
        "layer          variance before   after  scaled\n"
        "backbone/conv             12.5  1.0040       2\n"
        "zero                         0  0.0000       0  kernel is zero"
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.tolerance = 1
