"""Several samples and several explanations side by side."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_arch.core import check
from keras_arch.explain.attribution import Attribution
from keras_arch.plots import heat as heats
from keras_arch.plots.overlay import overlay, show_bars, show_picture
from keras_arch.plots.samples import Sample, sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def gallery(
    attributions: Attribution | Sequence[Attribution] | Mapping[str, Attribution],
    *,
    max_samples: int = 8,
    alpha: float = 0.7,
    cmap: Any = None,
    signed: bool | None = None,
    percentile: float = 99.0,
) -> "Figure":
    """A grid: one row per sample, the input first, then one column per explanation.

    Each map has its own limit, the percentile of its magnitudes, so that samples can be compared in where they hold
    evidence, not in how much.

    Args:
        attributions: one, several of the same samples, or a dict from title to attribution.
        max_samples: how many samples are drawn at most, the first ones.
        alpha: opacity of the strongest parts, in [0, 1].
        cmap: matplotlib colour map or its name; see `overlay`.
        signed: whether colours run from -limit to limit, or from 0; None looks at the numbers of each column.
        percentile: of the magnitudes; the colours end there.
    Returns:
        A matplotlib Figure, to save, show or close as any other.
    Raises:
        ValueError: if there is no attribution, or they are of different numbers of samples.

    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, np.ones((2, 8, 8, 1)))
    >>> ka.plots.gallery({"pixels": attribution}).savefig("gallery.png")
    """
    check.integer("max_samples", max_samples)
    columns = _columns(attributions)
    count = min(max_samples, len(next(iter(columns.values()))))
    rows = [[sample(attribution, index) for attribution in columns.values()] for index in range(count)]
    is_map = [one.is_map for one in rows[0]]

    from matplotlib.figure import Figure

    width = 1.7 if all(is_map) else 3.0
    figure = Figure(figsize=(1.0 + width * (1 + len(columns)), 0.9 + 1.65 * count), layout="constrained")
    axes = figure.subplots(count, 1 + len(columns), squeeze=False)
    sides = [_side(signed, [row[column].heat for row in rows]) for column in range(len(columns))]
    for line, row in zip(axes, rows, strict=True):
        _draw_input(line[0], row[0])
        for ax, one, side in zip(line[1:], row, sides, strict=True):
            if one.is_map:
                options = {"alpha": alpha, "cmap": cmap, "signed": side, "percentile": percentile}
                overlay(one.image, one.heat, ax=ax, colorbar=False, **options)
            else:
                show_bars(ax, one.heat, colored=True)
    for ax, title in zip(axes[0], ["input", *columns], strict=True):
        ax.set_title(title, fontsize="medium")
    for column, side in enumerate(sides):
        if is_map[column]:
            _explain(figure, list(axes[:, column + 1]), heats.color_map(cmap, side), side)
    return figure


def _columns(attributions: Any) -> dict[str, Attribution]:
    if isinstance(attributions, Attribution):
        attributions = [attributions]
    if not isinstance(attributions, Mapping):
        named: dict[str, Attribution] = {}
        for attribution in attributions:
            name = _split(type(attribution.method).__name__ if attribution.method is not None else "attribution")
            named[name if name not in named else f"{name} ({len(named) + 1})"] = attribution
        attributions = named
    lengths = {len(attribution) for attribution in attributions.values()}
    if len(lengths) != 1:
        advice = "Explain the same samples with each method."
        raise check.refuse("attributions", "must be of equally many samples, at least one", sorted(lengths), advice)
    return dict(attributions)


def _split(name: str) -> str:
    """A long name of a class on two lines, cut between words where it is nearest to the middle."""
    cuts = [cut.start() for cut in re.finditer("(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", name)]
    if len(name) <= 12 or not cuts:
        return name
    cut = min(cuts, key=lambda place: abs(place - len(name) / 2))
    return f"{name[:cut]}\n{name[cut:]}"


def _side(signed: bool | None, maps: list[np.ndarray]) -> bool:
    return any(map(heats.is_signed, maps)) if signed is None else signed


def _draw_input(ax: "Axes", one: Sample) -> None:
    if one.is_map and one.image.ndim > 1:
        show_picture(ax, one.image)
    else:
        show_bars(ax, np.ravel(one.image), colored=False)
    ax.set_ylabel(one.title.replace(", ", "\n"), rotation=0, ha="right", va="center", fontsize="small")


def _explain(figure: "Figure", axes: "list[Axes]", color_map: Any, signed: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(-1 if signed else 0, 1), color_map)
    bar = figure.colorbar(scale, ax=axes, location="bottom", fraction=0.04, pad=0.02, shrink=0.9)
    bar.set_ticks([-1, 0, 1] if signed else [0, 1], labels=["against", "0", "for"] if signed else ["none", "most"])
    bar.ax.tick_params(labelsize="small", length=0)
    bar.outline.set_visible(False)
