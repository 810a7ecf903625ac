"""What each weight costs when it is pruned alone."""

from typing import TYPE_CHECKING

from keras_arch.compression.sensitivity import SensitivityReport
from keras_arch.plots.curves import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def sensitivity(
    report: SensitivityReport, *, metric: str | None = None, ax: "Axes | None" = None, title: str | None = None
) -> "Axes":
    """Draw one curve a weight, a metric over the sparsity of that weight, from the model with nothing pruned.

    Colours go from dark to light in the order of the model's layers.

    Args:
        report: what `compression.sensitivity` returned.
        metric: name of the metric; None takes "loss", or the first metric if there is none.
        ax: matplotlib Axes to draw on; None makes a new Figure, which `.figure` of the result gives.
        title: above the picture; None says what is drawn.
    Returns:
        The Axes.
    Raises:
        ValueError: if the report has no metric of that name.

    >>> row = ka.compression.LayerSensitivity("head", "kernel", (8, 4), 32, {"accuracy": (0.9, 0.6)})
    >>> report = ka.compression.SensitivityReport((0.5, 0.8), {"accuracy": 0.95}, (row,))
    >>> ka.plots.sensitivity(report).get_title()
    'accuracy with one weight pruned'
    """
    metric = report.metric(metric)
    places = [0.0, *(100 * sparsity for sparsity in report.sparsities)]
    ax = curves(places, report, [row.name for row in report.layers], metric, "nothing pruned", ax)
    ax.set_xlim(0, 100)
    ax.set_xlabel("zeros, % of the weight's numbers")
    ax.set_title(f"{metric} with one weight pruned" if title is None else title)
    return ax
