"""What a measure of explanations says: its curves, or its values."""

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_arch.explain.metrics.measurement import DIRECTIONS, Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOR = "#1f5fa8"
X_LABELS = {"deletion": "removed", "insertion": "inserted", "randomization": "layers drawn anew"}


def measurement(result: Measurement, *, ax: "Axes | None" = None, title: str | None = None) -> "Axes":
    """Draw the mean curve with a band of one deviation over the samples, and each sample thin; or a point a sample.

    Args:
        result: what a measure returned.
        ax: matplotlib Axes to draw on; None makes a new Figure, which `.figure` of the result gives.
        title: above the picture; None says what is drawn.
    Returns:
        The Axes.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 3.0]])
    >>> measurement(ka.explain.metrics.deletion(model, attribution)).get_title()
    'deletion 1.5 ± 0, lower is better'
    """
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(5.6, 3.6), layout="constrained").subplots()
    if result.curves is None:
        _points(result, ax)
    else:
        _curves(result, ax)
    ax.spines[["top", "right"]].set_visible(False)
    figures = f"{result.mean:.3g} ± {result.std:.2g}, {DIRECTIONS[result.direction]}"
    ax.set_title(f"{result.name} {figures}" if title is None else title)
    return ax


def _curves(result: Measurement, ax: Any) -> None:
    places = result.fractions if result.stages is None else np.arange(len(result.stages))
    mean, spread = result.curves.mean(axis=0), result.curves.std(axis=0)
    for row in result.curves:
        ax.plot(places, row, color=COLOR, linewidth=0.6, alpha=0.25)
    ax.fill_between(places, mean - spread, mean + spread, color=COLOR, alpha=0.15, linewidth=0)
    ax.plot(places, mean, color=COLOR, linewidth=2)
    if result.stages is not None:
        ax.set_xticks(places, result.stages, rotation=45, ha="right")
    ax.set_xlabel(X_LABELS.get(result.name, "fraction"))
    ax.set_ylabel("similarity" if result.stages is not None else "score")


def _points(result: Measurement, ax: Any) -> None:
    ax.plot(np.arange(len(result)), result.values, "o", color=COLOR, markersize=4)
    ax.axhline(result.mean, color=COLOR, linewidth=1)
    ax.set_xlabel("sample")
    ax.set_ylabel(result.name)
