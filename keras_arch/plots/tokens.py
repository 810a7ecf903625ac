"""A text whose words are coloured by what they say for the target."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.core.check import refuse
from keras_arch.explain.attribution import Attribution
from keras_arch.plots import heat as heats
from keras_arch.plots.overlay import explain_colors
from keras_arch.plots.samples import title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE_HEIGHT = 2.2  # of the size of the letters


def tokens(
    attribution_or_heat: Any,
    words: Sequence[str],
    *,
    index: int = 0,
    ax: "Axes | None" = None,
    width: float = 460.0,
    size: float = 11.0,
    cmap: Any = None,
    signed: bool | None = None,
    percentile: float = 99.0,
    colorbar: bool = True,
    title: str | None = None,
) -> "Axes":
    """Write the words of one sample, each on the colour of its attribution, line by line.

    Attributions of the entries of a token's embedding are added.

    Args:
        attribution_or_heat: an `Attribution` of token ids or of a sequence, or one number per word, (T,).
        words: what is written for each position, T or fewer; positions after the last word, such as padding, are left
            out.
        index: for an attribution: which sample.
        ax: matplotlib Axes to draw on; None makes a new Figure as high as the text.
        width: of a line, in points of 1/72 inch.
        size: of the letters, in points.
        cmap: matplotlib colour map or its name; None as in `overlay`.
        signed: whether the colours run from -limit to limit, or from 0; None looks at the numbers.
        percentile: of the magnitudes; the colours end there.
        colorbar: whether the colours are explained below the text.
        title: above the text; None says target and score of an attribution.
    Returns:
        The Axes.
    Raises:
        ValueError: if there are more words than positions, no word, or the attribution has no positions.

    >>> ax = ka.plots.tokens(np.array([0.1, -0.7, 0.9]), ["not", "bad", "at all"])
    >>> [text.get_text() for text in ax.texts]
    ['not', 'bad', 'at all']
    """
    if isinstance(attribution_or_heat, Attribution):
        one = attribution_or_heat[index]
        values = [leaf[0] for leaf in keras.tree.flatten(one.values) if leaf.ndim in (2, 3)]
        if not values:
            advice = "Use plots.overlay for pictures."
            raise refuse("attribution", "must be of tokens or sequences", attribution_or_heat, advice)
        heat = values[0] if values[0].ndim == 1 else values[0].sum(-1)
        title = title_of(one) if title is None else title
    else:
        heat = np.asarray(attribution_or_heat, "float32")
        if heat.ndim != 1:
            raise ValueError(f"heat must be one number per word; received shape {heat.shape}. Sum its other axes.")
    words = [str(word) for word in words]
    if not 0 < len(words) <= len(heat):
        raise ValueError(
            f"words must be 1 to {len(heat)}, one per position; received {len(words)}. "
            "Pass the tokens of this one sample, as the model gets them."
        )
    check.real("width", width, minimum=0, maximum=10_000, open_minimum=True)
    check.real("size", size, minimum=0, maximum=500, open_minimum=True)
    heat = heat[: len(words)]
    signed = heats.is_signed(heat) if signed is None else signed
    boxes, lines = _lay_out(words, width, size)
    if ax is None:
        from matplotlib.figure import Figure

        inches = (width / 72 + 0.2, lines * LINE_HEIGHT * size / 72 + 1.0)
        ax = Figure(figsize=inches, layout="constrained").subplots()
    _write(ax, words, boxes, heats.colors(heat[None], cmap=cmap, signed=signed, percentile=percentile)[0], size)
    ax.set_xlim(0, width)
    ax.set_ylim(lines * LINE_HEIGHT * size, 0)
    ax.set_axis_off()
    if colorbar:
        explain_colors(ax, heats.color_map(cmap, signed), signed, heats.limit(heat, percentile), below=True)
    if title:
        ax.set_title(title, fontsize="medium", loc="left")
    return ax


def _lay_out(words: list[str], width: float, size: float) -> tuple[list[tuple[float, float, float]], int]:
    """Left end, upper end and width of the box of each word, in points, and the number of lines."""
    from matplotlib.textpath import TextPath

    space = size / 3
    left, line, boxes = 0.0, 0, []
    for word in words:
        # A path has no width where there is nothing to see.
        visible = TextPath((0, 0), word, size=size, usetex=False).get_extents().width if word.strip() else space
        wide = visible + 2 * space
        if left and left + wide > width:
            left, line = 0.0, line + 1
        boxes.append((left, line * LINE_HEIGHT * size, wide))
        left += wide + space
    return boxes, line + 1


def _write(ax: "Axes", words: list[str], boxes: list, shades: np.ndarray, size: float) -> None:
    from matplotlib.patches import Rectangle

    for word, (left, top, wide), shade in zip(words, boxes, shades / 255, strict=True):
        ax.add_patch(Rectangle((left, top), wide, 0.8 * LINE_HEIGHT * size, facecolor=tuple(shade), edgecolor="none"))
        on_white = shade[3] * (shade[:3] @ np.array([0.299, 0.587, 0.114])) + 1 - shade[3]  # luma, ITU-R BT.601
        color = "black" if on_white > 0.5 else "white"
        middle = (left + wide / 2, top + 0.4 * LINE_HEIGHT * size)
        # Words are data: a dollar sign in them begins no formula.
        ax.text(*middle, word, size=size, color=color, ha="center", va="center", parse_math=False)
