"""Curves begin at the baseline and keep the order of the layers."""

import numpy as np

from keras_arch.compression import LayerQuantizationSensitivity, QuantizationSensitivityReport
from keras_arch.plots.curves import curves


def test_every_curve_begins_at_the_dashed_line():
    rows = tuple(LayerQuantizationSensitivity(name, 8, {"loss": (0.2, 0.5 + n)}) for n, name in enumerate("ab"))
    ax = curves(
        (0, 1, 2), QuantizationSensitivityReport((8, 4), {"loss": 0.1}, rows), ["a", "b"], "loss", "float", None
    )
    dashed, first, second = ax.lines
    np.testing.assert_allclose(dashed.get_ydata(), 0.1)
    np.testing.assert_allclose([first.get_ydata(), second.get_ydata()], [[0.1, 0.2, 0.5], [0.1, 0.2, 1.5]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["float", "a", "b"]
