"""Curves and points of a measure."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_arch.explain.metrics import Deletion, Measurement, Randomization, Sparseness
from keras_arch.plots import measurement

VALUES = np.array([0.5, 1.5], "float32")
CURVES = np.array([[1, 0.5, 0], [2, 1.5, 1]], "float32")
FRACTIONS = np.array([0, 0.5, 1], "float32")
ENDS = (-1.0, 1.0)
REMOVED = Measurement(Deletion(), VALUES, "lower", ENDS, CURVES, FRACTIONS)
DRAWN = Measurement(Randomization(), VALUES, "lower", ENDS, CURVES, FRACTIONS, ("nothing", "head", "conv"))
PLAIN = Measurement(Sparseness(), VALUES, "higher", ENDS)


def test_each_sample_and_the_mean_are_curves():
    ax = measurement(REMOVED)
    np.testing.assert_allclose([line.get_ydata() for line in ax.lines], [*CURVES, CURVES.mean(axis=0)])
    np.testing.assert_allclose(ax.lines[-1].get_xdata(), FRACTIONS)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("removed", "score")
    assert ax.get_title() == "deletion 1 ± 0.5, lower is better"


def test_stages_are_named():
    ax = measurement(DRAWN)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["nothing", "head", "conv"]
    assert ax.get_ylabel() == "similarity"


def test_values_without_curves_are_points():
    ax = measurement(PLAIN)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), VALUES)
    assert ax.get_ylabel() == "sparseness"


@pytest.mark.parametrize("result", [REMOVED, DRAWN, PLAIN], ids=lambda one: one.name)
def test_pictures_can_be_saved_and_given_axes_are_drawn_on(result, tmp_path):
    ax = Figure().subplots()
    assert measurement(result, ax=ax, title="mine") is ax
    assert ax.get_title() == "mine"
    ax.figure.savefig(tmp_path / "m.png")
    assert (tmp_path / "m.png").stat().st_size > 1000
