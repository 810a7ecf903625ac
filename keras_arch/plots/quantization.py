"""How well each layer is rounded: bits, signal-to-noise ratio, range."""

import math
from typing import TYPE_CHECKING

from keras_arch.compression.quantization_report import LayerQuantization, QuantizationReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KERNELS, ACTIVATIONS = "#0072b2", "#e69f00"
THICKNESS = 0.38


def quantization(report: QuantizationReport, *, ax: "Axes | None" = None, title: str | None = None) -> "Axes":
    """Draw the signal-to-noise ratio of each layer as bars, with its bits and its range written beside them.

    Bars are of the kernels, and below them of the activations where these were measured on samples. Without any noise a
    bar reaches the edge and is hatched.

    Args:
        report: what `callbacks.QuantizationAwareTraining.report`, `compression.quantization.measure` or
            `compression.export_litert` returned.
        ax: matplotlib Axes to draw on; None makes a new Figure, which `.figure` of the result gives.
        title: above the picture; None says the lowest ratio.
    Returns:
        The Axes.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="head")])
    >>> report = ka.compression.quantization.measure(ka.compression.quantize(model))
    >>> [label.get_text() for label in ka.plots.quantization(report).get_yticklabels()]
    ['head']
    """
    rows = report.layers
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(7.2, 1.6 + 0.42 * len(rows)), layout="constrained").subplots()
    sides = [
        ("kernels", KERNELS, [row.sqnr_db for row in rows]),
        ("activations", ACTIVATIONS, [row.activation_sqnr_db for row in rows]),
    ]
    sides = [side for side in sides if any(ratio is not None for ratio in side[-1])]
    finite = [ratio for *_, ratios in sides for ratio in ratios if ratio is not None and math.isfinite(ratio)]
    edge = max([1.0, *(1.05 * ratio for ratio in finite)])
    for number, (name, color, ratios) in enumerate(sides):
        offset = THICKNESS * (number - (len(sides) - 1) / 2)
        known = [(place + offset, ratio) for place, ratio in enumerate(ratios) if ratio is not None]
        lengths = [min(ratio, edge) for _, ratio in known]
        hatches = ["//" if ratio == math.inf else "" for _, ratio in known]
        places = [place for place, _ in known]
        ax.barh(places, lengths, THICKNESS, color=color, edgecolor="white", linewidth=0, hatch=hatches, label=name)
    for place, row in enumerate(rows):
        ax.annotate(
            _about(row),
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            annotation_clip=False,
        )
    ax.set_yticks(range(len(rows)), [row.path for row in rows])
    ax.set_ylim(max(1, len(rows)) - 0.5, -0.5)
    ax.set_xlim(min([0.0, *finite]), edge)
    ax.set_xlabel("signal-to-quantization-noise ratio, dB")
    if title is None:
        title = f"rounding noise lies at least {min(finite):.1f} dB below the signal" if finite else "no rounding noise"
    ax.set_title(title)
    ax.spines[["top", "right"]].set_visible(False)
    if len(sides) > 1:
        ax.legend(loc="lower left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    return ax


def _about(row: LayerQuantization) -> str:
    """Bits and range in words: "w4 a8, 0 to 5.5"."""
    bits = [f"{side}{count}" for side, count in (("w", row.weight_bits), ("a", row.activation_bits)) if count]
    span = [] if row.low is None else [f"{row.low:.3g} to {row.high:.3g}"]
    return ", ".join([" ".join(bits), *span])
