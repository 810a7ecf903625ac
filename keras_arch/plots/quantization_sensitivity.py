"""What each layer costs when its kernels are rounded alone."""

from typing import TYPE_CHECKING

import numpy as np

from keras_arch.compression.quantization_sensitivity import QuantizationSensitivityReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASELINE = "#7f7f7f"
MARKERS = "osD^vP*X"


def quantization_sensitivity(
    report: QuantizationSensitivityReport,
    *,
    metric: str | None = None,
    ax: "Axes | None" = None,
    title: str | None = None,
) -> "Axes":
    """Draw one curve a layer, a metric over the bits of that layer's kernels, from the model in float.

    Colours go from dark to light in the order of the model's layers.

    Args:
        report: what `compression.quantization_sensitivity` returned.
        metric: name of the metric; None takes "loss", or the first metric if there is none.
        ax: matplotlib Axes to draw on; None makes a new Figure, which `.figure` of the result gives.
        title: above the picture; None says what is drawn.
    Returns:
        The Axes.
    Raises:
        ValueError: if the report has no metric of that name.

    >>> row = ka.compression.LayerQuantizationSensitivity("head", 32, {"accuracy": (0.9, 0.6)})
    >>> report = ka.compression.QuantizationSensitivityReport((8, 4), {"accuracy": 0.95}, (row,))
    >>> ka.plots.quantization_sensitivity(report).get_title()
    'accuracy with one layer rounded'
    """
    metric = report.metric(metric)
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(7.2, max(3.6, 1.2 + 0.2 * len(report.layers))), layout="constrained").subplots()
    from matplotlib import colormaps

    baseline = report.baseline[metric]
    ax.axhline(baseline, color=BASELINE, linestyle="--", linewidth=1, label="nothing rounded")
    colors = colormaps["viridis"](np.linspace(0, 0.88, len(report.layers)))  # what is lighter is lost on white
    places = range(1 + len(report.bits))
    for number, (row, color) in enumerate(zip(report.layers, colors, strict=True)):
        values = [baseline, *row.values[metric]]
        ax.plot(places, values, color=color, marker=MARKERS[number % len(MARKERS)], markersize=4, label=row.path)
    ax.set_xticks(places, ["float", *map(str, report.bits)])
    ax.set_xlabel("bits of the layer's kernels")
    ax.set_ylabel(metric)
    ax.set_title(f"{metric} with one layer rounded" if title is None else title)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False)
    return ax
