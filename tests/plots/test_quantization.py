"""Bars of signal-to-noise ratios, with bits and ranges beside them."""

import math

import pytest
from matplotlib.figure import Figure

from keras_arch.compression.quantization_report import LayerQuantization, QuantizationReport
from keras_arch.plots import quantization

CONV = LayerQuantization("conv", 4, 8, None, None, 20.0, 1e-4, 0.1, 0.01)
RELU = LayerQuantization("relu", None, 8, 0.0, 5.5, None, None, None)
HEAD = LayerQuantization("head", 8, 16, -1.25, 2.0, math.inf, 0.0, 0.0, 1.0)
MEASURED = LayerQuantization("tail", 8, 8, -1.0, 2.0, 40.0, 1e-4, 0.1, 0.01, 32.0, 1e-3, 0.02)
REPORT = QuantizationReport((CONV, RELU, HEAD))


def middles(container):
    return [bar.get_y() + bar.get_height() / 2 for bar in container]


def test_bars_are_the_ratios_of_the_kernels_from_top_to_bottom():
    ax = quantization(REPORT)
    (kernels,) = ax.containers
    assert [bar.get_width() for bar in kernels] == [20.0, 21.0], "no noise reaches the edge"
    assert [bool(bar.get_hatch()) for bar in kernels] == [False, True]
    assert middles(kernels) == pytest.approx([0.0, 2.0])
    assert ax.get_xlim() == (0.0, 21.0)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["conv", "relu", "head"]
    assert ax.yaxis_inverted()
    assert ax.get_legend() is None


def test_activations_lie_below_their_kernels():
    ax = quantization(QuantizationReport((CONV, MEASURED)))
    kernels, activations = ax.containers
    assert [bar.get_width() for bar in activations] == [32.0]
    assert middles(kernels)[1] < 1.0 < middles(activations)[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["kernels", "activations"]


def test_bits_and_ranges_are_written():
    ax = quantization(REPORT)
    assert [text.get_text() for text in ax.texts] == ["w4 a8", "a8, 0 to 5.5", "w8 a16, -1.25 to 2"]


def test_the_title_says_the_lowest_ratio():
    assert quantization(REPORT).get_title() == "rounding noise lies at least 20.0 dB below the signal"
    assert quantization(QuantizationReport((HEAD,))).get_title() == "no rounding noise"
    assert quantization(REPORT, title="mine").get_title() == "mine"


def test_noise_above_the_signal_is_drawn_to_the_left():
    row = LayerQuantization("conv", 2, 8, None, None, -3.0, 1.0, 0.1)
    ax = quantization(QuantizationReport((CONV, row)))
    assert ax.get_xlim()[0] == -3.0
    assert ax.containers[0][1].get_width() == -3.0


def test_given_axes_are_drawn_on():
    ax = Figure().subplots()
    assert quantization(REPORT, ax=ax) is ax


@pytest.mark.parametrize("rows", [(), (RELU,), REPORT.layers * 30])
def test_no_layer_and_many_layers_can_be_drawn(rows, tmp_path):
    quantization(QuantizationReport(rows)).figure.savefig(tmp_path / "s.png")
    assert (tmp_path / "s.png").stat().st_size > 1000
