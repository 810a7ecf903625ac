"""Bars of methods against measures."""

import numpy as np
from matplotlib.colors import to_hex

from keras_arch.explain.evaluation import Evaluation
from keras_arch.explain.metrics import Deletion, Measurement, Sparseness
from keras_arch.plots import evaluation
from keras_arch.plots.evaluation import BEST, OTHER


def measured(metric, *values):
    return Measurement(metric, np.array(values, "float32"), metric.direction, (0.0, 1.0))


RESULT = Evaluation(
    {
        "GradCAM": {"deletion": measured(Deletion(), 0.2, 0.4), "sparseness": measured(Sparseness(), 0.5)},
        "Saliency": {"deletion": measured(Deletion(), 0.5, 0.7), "sparseness": measured(Sparseness(), 0.9)},
    },
    {"GradCAM": 0.1, "Saliency": 0.2},
    2,
)


def test_each_measure_has_a_bar_a_method_and_the_best_is_dark():
    first, second = evaluation(RESULT).axes
    np.testing.assert_allclose([bar.get_width() for bar in first.patches], [0.3, 0.6], rtol=1e-6)
    assert [to_hex(bar.get_facecolor()) for bar in first.patches] == [BEST, OTHER]
    assert [to_hex(bar.get_facecolor()) for bar in second.patches] == [OTHER, BEST]
    assert [first.get_title(), second.get_title()] == ["deletion ↓", "sparseness ↑"]
    assert [text.get_text() for text in first.get_yticklabels()] == ["GradCAM", "Saliency"]


def test_it_can_be_saved(tmp_path):
    evaluation(RESULT).savefig(tmp_path / "e.png")
    assert (tmp_path / "e.png").stat().st_size > 1000
