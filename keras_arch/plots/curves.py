"""One curve a layer, from what the model did with nothing done to it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASELINE = "#7f7f7f"
MARKERS = "osD^vP*X"


def curves(
    places: Sequence[float], report: Any, names: Sequence[str], metric: str, untouched: str, ax: "Axes | None"
) -> "Axes":
    """Draw a metric over what was done to each layer alone, and a dashed line where nothing was.

    Args:
        places: along the x axis, the first for the untouched model.
        report: has `baseline` and `layers`, whose rows have `values`, both by the name of a metric.
        names: of the curves, in the order of the rows.
        metric: the name of the metric.
        untouched: the name of the dashed line.
        ax: matplotlib Axes to draw on; None makes a new Figure.

    >>> row = ka.compression.LayerQuantizationSensitivity("head", 32, {"accuracy": (0.9, 0.6)})
    >>> report = ka.compression.QuantizationSensitivityReport((8, 4), {"accuracy": 0.95}, (row,))
    >>> len(curves((0, 1, 2), report, ["head"], "accuracy", "float", None).lines)
    2
    """
    from matplotlib import colormaps

    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(7.2, max(3.6, 1.2 + 0.2 * len(report.layers))), layout="constrained").subplots()
    baseline = report.baseline[metric]
    ax.axhline(baseline, color=BASELINE, linestyle="--", linewidth=1, label=untouched)
    colors = colormaps["viridis"](np.linspace(0, 0.88, len(report.layers)))  # what is lighter is lost on white
    for number, (row, name, color) in enumerate(zip(report.layers, names, colors, strict=True)):
        values = [baseline, *row.values[metric]]
        ax.plot(places, values, color=color, marker=MARKERS[number % len(MARKERS)], markersize=4, label=name)
    ax.set_ylabel(metric)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False)
    return ax
