"""What each head of each attention layer looks at: a grid of layers by heads."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_arch.core import check
from keras_arch.core.check import refuse
from keras_arch.explain.attention.attention_maps import AttentionMaps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_WORDS = 24  # more ticks than that cannot be read


def attention(
    maps: AttentionMaps,
    *,
    index: int = 0,
    layers: Sequence[str] | None = None,
    heads: Sequence[int] | None = None,
    words: Sequence[str] | None = None,
    cmap: Any = "viridis",
) -> "Figure":
    """Draw one small map per layer and head: rows are queries, columns are keys, bright is much attention.

    All maps share the colours from 0 to the largest weight. Each title has the head's entropy in nats: 0 looks at one
    key, log S at all S alike.

    Args:
        maps: what `keras_arch.explain.attention_maps` returned.
        index: which sample.
        layers: paths of the layers to draw; None draws all, from the first on top.
        heads: numbers of the heads to draw; None draws all.
        words: what stands at the positions, drawn at both axes where there are at most 24; for maps of other sizes they
            are left out.
        cmap: matplotlib colour map or its name.
    Returns:
        A matplotlib Figure.
    Raises:
        ValueError: if there is no such layer or head.
        IndexError: if there is no such sample.

    >>> maps = ka.explain.AttentionMaps({"look": np.eye(4)[None, None], "again": np.full((1, 1, 4, 4), 0.25)})
    >>> ka.plots.attention(maps, words=["a", "b", "c", "d"]).savefig("attention.png")
    """
    from matplotlib.figure import Figure

    one = maps[index]
    chosen = list(one.weights) if layers is None else list(layers)
    for path in chosen or [None]:
        if path not in one.weights:
            raise refuse("layers", f"must be paths of the maps, {list(one.weights)}", path, "Choose among these.")
    entropy = one.entropy()
    rows = {path: _grids(one.weights[path], entropy[path]) for path in chosen}
    most = max(len(row) for row in rows.values())
    numbers = list(range(most)) if heads is None else list(heads)
    for head in numbers or [None]:
        check.integer("heads", head, minimum=0, maximum=most - 1)
    size = 1.15 if words is None else 1.9
    figure = Figure(figsize=(1.6 + size * len(numbers), 0.6 + (size + 0.2) * len(chosen)), layout="constrained")
    axes = figure.subplots(len(chosen), len(numbers), squeeze=False)
    top = max(float(weights.max()) for row in rows.values() for weights, _ in row) or 1.0
    for line, (path, row) in zip(axes, rows.items(), strict=True):
        for ax, head in zip(line, numbers, strict=True):
            if head < len(row):
                _draw(ax, *row[head], top, words, cmap)
            else:
                ax.set_axis_off()
        line[0].set_ylabel(path, fontsize="small")
    for ax, head in zip(axes[0], numbers, strict=True):
        ax.set_title(f"head {head}\n{ax.get_title()}", fontsize="small")
    bar = figure.colorbar(axes[0, 0].images[0], ax=list(axes.flat), fraction=0.03, pad=0.02)
    bar.set_label("attention of a query (row) to a key (column)", fontsize="small")
    bar.ax.tick_params(labelsize="small")
    bar.outline.set_visible(False)
    return figure


def _grids(weights: np.ndarray, entropy: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Each head of the first sample with its entropy; heads of windows (windows, H, T, S) one after the other."""
    return list(zip(weights[0].reshape(-1, *weights.shape[-2:]), entropy[0].reshape(-1).tolist(), strict=True))


def _draw(ax: "Axes", weights: np.ndarray, entropy: float, top: float, words: Sequence[str] | None, cmap: Any) -> None:
    ax.imshow(weights, cmap=cmap, vmin=0, vmax=top, interpolation="nearest", aspect="auto")
    ax.set_title(f"H = {entropy:.2f}", fontsize="small")
    for axis, count in ((ax.yaxis, weights.shape[0]), (ax.xaxis, weights.shape[1])):
        fits = words is not None and len(words) == count <= MOST_WORDS
        axis.set_ticks(range(count) if fits else [], [str(word) for word in words] if fits else [])
    ax.tick_params(axis="x", rotation=90)
    ax.tick_params(labelsize="x-small", length=2)
