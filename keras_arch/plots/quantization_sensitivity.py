"""What each layer costs when its kernels are rounded alone."""

from typing import TYPE_CHECKING

from keras_arch.compression.quantization_sensitivity import QuantizationSensitivityReport
from keras_arch.plots.curves import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    places = range(1 + len(report.bits))
    ax = curves(places, report, [row.path for row in report.layers], metric, "nothing rounded", ax)
    ax.set_xticks(places, ["float", *map(str, report.bits)])
    ax.set_xlabel("bits of the layer's kernels")
    ax.set_title(f"{metric} with one layer rounded" if title is None else title)
    return ax
