"""How much of each weight is zero, and how many numbers stay."""

from typing import TYPE_CHECKING

from keras_arch.compression.report import SparsityReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEPT, ZERO = "#0072b2", "#d9d9d9"


def sparsity(report: SparsityReport, *, ax: "Axes | None" = None, title: str | None = None) -> "Axes":
    """Draw one bar a weight, as long as its share of zeros, with the numbers kept written beside it.

    Args:
        report: what `callbacks.Pruning.report`, `compression.prune` or `compression.sparsity_report` returned.
        ax: matplotlib Axes to draw on; None makes a new Figure, which `.figure` of the result gives.
        title: above the picture; None says the total.
    Returns:
        The Axes.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> ax = ka.plots.sparsity(ka.compression.prune(model, 0.75))
    >>> ax.get_title()
    '75.0 % of 32 numbers are zero'
    """
    rows = report.layers
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(6.4, 1.2 + 0.34 * len(rows)), layout="constrained").subplots()
    places = range(len(rows))
    shares = [100 * row.sparsity for row in rows]
    ax.barh(places, shares, color=ZERO, edgecolor="none", label="zero")
    ax.barh(places, [100 - share for share in shares], left=shares, color=KEPT, edgecolor="none", label="kept")
    for place, row in zip(places, rows, strict=True):
        ax.annotate(
            f"{row.size - row.zeros:,} of {row.size:,} kept",
            (100, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            annotation_clip=False,
        )
    ax.set_yticks(list(places), [f"{row.path}/{row.weight}" for row in rows])
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_xlabel("zeros, % of the weight's numbers")
    ax.set_title(f"{100 * report.sparsity:.1f} % of {report.size:,} numbers are zero" if title is None else title)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
