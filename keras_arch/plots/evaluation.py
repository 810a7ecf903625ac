"""Methods against measures, as bars."""

from typing import TYPE_CHECKING

import numpy as np

from keras_arch.explain.evaluation import Evaluation
from keras_arch.explain.metrics.measurement import ARROWS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEST, OTHER = "#1f5fa8", "#b8c4d0"


def evaluation(result: Evaluation) -> "Figure":
    """Draw for each measure a bar a method, its mean with one deviation over the samples; the best are dark.

    Args:
        result: what `explain.evaluate` returned.
    Returns:
        A matplotlib Figure.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> from keras_arch.explain.evaluation import evaluate
    >>> result = evaluate(["integrated_gradients"], model, [[1.0, 3.0]], metrics=["deletion", "sparseness"])
    >>> len(evaluation(result).axes)
    2
    """
    from matplotlib.figure import Figure

    count = len(result.metrics)
    figure = Figure(figsize=(1.8 + 2.6 * count, 1.2 + 0.36 * len(result.methods)), layout="constrained")
    places = np.arange(len(result.methods))
    for ax, metric in zip(figure.subplots(1, count, sharey=True, squeeze=False)[0], result.metrics, strict=True):
        row = [result.values[name][metric] for name in result.methods]
        best = result.best(metric)
        colors = [BEST if name in best else OTHER for name in result.methods]
        ax.barh(places, [one.mean for one in row], xerr=[one.std for one in row], color=colors, ecolor="#444444")
        ax.set_yticks(places, result.methods)
        ax.set_title(f"{metric} {ARROWS[row[0].direction]}", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    figure.axes[0].invert_yaxis()
    return figure
