"""One curve a weight, over its sparsity."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from keras_arch.compression import LayerSensitivity, SensitivityReport
from keras_arch.plots import sensitivity

REPORT = SensitivityReport(
    (0.5, 0.9),
    {"accuracy": 0.98, "loss": 0.1},
    (
        LayerSensitivity("conv", "kernel", (3, 3, 1, 8), 72, {"accuracy": (0.9, 0.2), "loss": (0.2, 2.5)}),
        LayerSensitivity("head", "kernel", (8, 10), 80, {"accuracy": (0.97, 0.8), "loss": (0.1, 0.4)}),
    ),
)


def points(line):
    return list(zip(*(np.asarray(axis).tolist() for axis in line.get_data()), strict=True))


def test_curves_begin_at_the_baseline_and_pass_the_measured_values():
    baseline, conv, head = sensitivity(REPORT).lines
    assert points(baseline) == [(0.0, 0.1), (1.0, 0.1)]  # in widths of the Axes
    assert points(conv) == [(0.0, 0.1), (50.0, 0.2), (90.0, 2.5)]
    assert points(head) == [(0.0, 0.1), (50.0, 0.1), (90.0, 0.4)]


def test_another_metric_can_be_drawn():
    ax = sensitivity(REPORT, metric="accuracy")
    assert points(ax.lines[2]) == [(0.0, 0.98), (50.0, 0.97), (90.0, 0.8)]
    assert ax.get_ylabel() == "accuracy"
    with pytest.raises(ValueError, match="metric must be one of 'accuracy', 'loss'; received metric='auc'"):
        sensitivity(REPORT, metric="auc")


def test_curves_are_named_and_coloured_in_the_order_of_the_model():
    ax = sensitivity(REPORT)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["nothing pruned", "conv/kernel", "head/kernel"]
    assert sum(to_rgb(ax.lines[1].get_color())) < sum(to_rgb(ax.lines[2].get_color()))


def test_the_title_says_what_is_drawn():
    assert sensitivity(REPORT).get_title() == "loss with one weight pruned"
    assert sensitivity(REPORT, title="mine").get_title() == "mine"


def test_given_axes_are_drawn_on():
    ax = Figure().subplots()
    assert sensitivity(REPORT, ax=ax) is ax


@pytest.mark.parametrize("rows", [(), REPORT.layers * 30])
def test_no_weight_and_many_weights_can_be_drawn(rows, tmp_path):
    sensitivity(SensitivityReport(REPORT.sparsities, REPORT.baseline, rows)).figure.savefig(tmp_path / "s.png")
    assert (tmp_path / "s.png").stat().st_size > 1000
