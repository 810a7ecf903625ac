"""One bar a weight, as long as its share of zeros."""

import pytest
from matplotlib.figure import Figure

from keras_arch.compression import LayerSparsity, SparsityReport
from keras_arch.plots import sparsity

REPORT = SparsityReport(
    (LayerSparsity("conv", "kernel", (3, 3, 1, 8), 72, 18), LayerSparsity("head", "kernel", (8, 10), 80, 72)),
    parameters=170,
    bytes_raw=680,
    bytes_gzip=300,
)


def test_bars_are_the_shares_of_zeros_from_top_to_bottom():
    ax = sparsity(REPORT)
    zero, kept = ax.containers
    assert [bar.get_width() for bar in zero] == [25.0, 90.0]
    assert [bar.get_width() for bar in kept] == [75.0, 10.0]
    assert [bar.get_x() for bar in kept] == [25.0, 90.0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["conv/kernel", "head/kernel"]
    assert ax.yaxis_inverted()


def test_counts_and_the_total_are_written():
    ax = sparsity(REPORT)
    assert [text.get_text() for text in ax.texts] == ["54 of 72 kept", "8 of 80 kept"]
    assert ax.get_title() == "59.2 % of 152 numbers are zero"
    assert sparsity(REPORT, title="mine").get_title() == "mine"


def test_given_axes_are_drawn_on():
    ax = Figure().subplots()
    assert sparsity(REPORT, ax=ax) is ax


@pytest.mark.parametrize("rows", [(), REPORT.layers * 30])
def test_no_weight_and_many_weights_can_be_drawn(rows, tmp_path):
    report = SparsityReport(rows, parameters=0, bytes_raw=0, bytes_gzip=0)
    sparsity(report).figure.savefig(tmp_path / "s.png")
    assert (tmp_path / "s.png").stat().st_size > 1000
