"""One curve a layer, over the bits of its kernels."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from keras_arch.compression import LayerQuantizationSensitivity, QuantizationSensitivityReport
from keras_arch.plots import quantization_sensitivity

REPORT = QuantizationSensitivityReport(
    (8, 4),
    {"accuracy": 0.98, "loss": 0.1},
    (
        LayerQuantizationSensitivity("conv", 72, {"accuracy": (0.9, 0.2), "loss": (0.2, 2.5)}),
        LayerQuantizationSensitivity("head", 80, {"accuracy": (0.97, 0.8), "loss": (0.1, 0.4)}),
    ),
)


def points(line):
    return list(zip(*(np.asarray(axis).tolist() for axis in line.get_data()), strict=True))


def test_curves_begin_in_float_and_pass_the_measured_values():
    ax = quantization_sensitivity(REPORT)
    baseline, conv, head = ax.lines
    assert points(baseline) == [(0.0, 0.1), (1.0, 0.1)]  # in widths of the Axes
    assert points(conv) == [(0, 0.1), (1, 0.2), (2, 2.5)]
    assert points(head) == [(0, 0.1), (1, 0.1), (2, 0.4)]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["float", "8", "4"]


def test_another_metric_can_be_drawn():
    ax = quantization_sensitivity(REPORT, metric="accuracy")
    assert points(ax.lines[2]) == [(0, 0.98), (1, 0.97), (2, 0.8)]
    assert ax.get_ylabel() == "accuracy"
    with pytest.raises(ValueError, match="metric must be one of 'accuracy', 'loss'; received metric='auc'"):
        quantization_sensitivity(REPORT, metric="auc")


def test_curves_are_named_and_coloured_in_the_order_of_the_model():
    ax = REPORT.plot()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["nothing rounded", "conv", "head"]
    assert sum(to_rgb(ax.lines[1].get_color())) < sum(to_rgb(ax.lines[2].get_color()))


def test_the_title_says_what_is_drawn():
    assert quantization_sensitivity(REPORT).get_title() == "loss with one layer rounded"
    assert quantization_sensitivity(REPORT, title="mine").get_title() == "mine"


def test_given_axes_are_drawn_on():
    ax = Figure().subplots()
    assert quantization_sensitivity(REPORT, ax=ax) is ax


@pytest.mark.parametrize("rows", [(), REPORT.layers * 30])
def test_no_layer_and_many_layers_can_be_drawn(rows, tmp_path):
    report = QuantizationSensitivityReport(REPORT.bits, REPORT.baseline, rows)
    quantization_sensitivity(report).figure.savefig(tmp_path / "s.png")
    assert (tmp_path / "s.png").stat().st_size > 1000
