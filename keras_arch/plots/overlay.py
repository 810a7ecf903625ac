"""One sample and what speaks for its target, in one picture."""

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_arch.core.check import refuse
from keras_arch.explain.attribution import Attribution
from keras_arch.plots import heat as heats
from keras_arch.plots.samples import sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def overlay(
    attribution_or_image: Any,
    heat: Any = None,
    *,
    index: int = 0,
    ax: "Axes | None" = None,
    alpha: float = 0.7,
    cmap: Any = None,
    signed: bool | None = None,
    percentile: float = 99.0,
    colorbar: bool = True,
    title: str | None = None,
) -> "Axes":
    """Lay the heat map of one sample over it: hue says for or against the target, opacity says how much.

    Attributions of the channels of a pixel are added. Where the input is no picture, one bar per feature or position
    is drawn instead.

    Args:
        attribution_or_image: an `Attribution`, or an image (H, W) or (H, W, C) of any range.
        heat: for an image: its map, (h, w) or (h, w, C), stretched to the image's size.
        index: for an attribution: which sample.
        ax: matplotlib Axes to draw on; None makes a new Figure, which `.figure` of the result gives.
        alpha: opacity of the strongest parts, in [0, 1].
        cmap: matplotlib colour map or its name. By default red for and blue against with white at zero, or, without
            evidence against the target, a map from dark to bright.
        signed: whether the colours run from -limit to limit, or from 0; None looks at the numbers.
        percentile: of the magnitudes; the colours end there. 100 is the largest one.
        colorbar: whether the colours are explained beside the picture.
        title: above the picture; None says target and score of an attribution.
    Returns:
        The Axes.
    Raises:
        ValueError: if an image comes without a map, or shapes do not fit.

    >>> ax = ka.plots.overlay(np.zeros((8, 8)), heat=np.eye(8))
    >>> ax.figure.savefig("overlay.png")
    """
    if isinstance(attribution_or_image, Attribution):
        if heat is not None:
            raise refuse("heat", "must be None for an attribution, which has its own", heat, "Pass only one of them.")
        one = sample(attribution_or_image, index)
        image, heat = one.image, one.heat
        title = one.title if title is None else title
    else:
        image, heat = np.asarray(attribution_or_image), heats.flatten_channels(np.asarray(heat, "float32"))
        if image.ndim not in (2, 3) or heat.ndim != 2:
            raise ValueError(
                f"heat must be a map (h, w) for an image (H, W) or (H, W, C); received an image of shape "
                f"{image.shape} and a heat of shape {heat.shape}. Pass one sample, without the batch axis."
            )
    if ax is None:
        ax = new_axes(heat.ndim == 2)
    signed = heats.is_signed(heat) if signed is None else signed
    if heat.ndim == 2:
        show_picture(ax, image, pale=signed)
        box = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
        colors = heats.colors(heat, cmap=cmap, signed=signed, percentile=percentile, alpha=alpha)
        ax.imshow(colors, extent=box, interpolation="nearest")
        if colorbar:
            explain_colors(ax, heats.color_map(cmap, signed), signed, heats.limit(heat, percentile))
    else:
        show_bars(ax, heat, colored=True)
        ax.set_ylabel("attribution", fontsize="small")
    if title:
        ax.set_title(title, fontsize="medium")
    return ax


def new_axes(is_picture: bool) -> "Axes":
    """Axes on a Figure of their own, outside pyplot's list of open figures.

    >>> new_axes(True).figure.get_size_inches().tolist()
    [4.6, 4.0]
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(4.6, 4.0) if is_picture else (6.0, 2.6), layout="constrained").subplots()


def show_picture(ax: "Axes", image: np.ndarray, pale: bool = False) -> None:
    """Draw a picture without axes; `pale` as a light grey one, on which red and blue stand out.

    >>> ax = new_axes(True)
    >>> show_picture(ax, np.zeros((4, 4)))
    >>> len(ax.images)
    1
    """
    pixels = heats.picture(image)
    if pale:
        grey = pixels if pixels.ndim == 2 else pixels @ np.array([0.299, 0.587, 0.114])  # luma, ITU-R BT.601
        pixels = 255 - 0.45 * (255 - grey)
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])


def show_bars(ax: "Axes", numbers: np.ndarray, colored: bool) -> None:
    """Draw one bar per number: red above zero and blue below where they are attributions, grey otherwise.

    >>> ax = new_axes(False)
    >>> show_bars(ax, np.array([1.0, -2.0]), colored=True)
    >>> len(ax.patches)
    2
    """
    shades = np.where(numbers >= 0, "#b2182b", "#2166ac") if colored else "#888888"
    ax.bar(np.arange(len(numbers)), numbers, color=shades, width=0.85)
    ax.set_xlim(-0.6, len(numbers) - 0.4)
    ax.axhline(0, color="#444444", linewidth=0.8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize="small")
    ax.xaxis.get_major_locator().set_params(integer=True)


def explain_colors(ax: "Axes", color_map: Any, signed: bool, limit: float, below: bool = False) -> None:
    """Draw the colour bar, beside the picture or below it, with what its ends mean.

    >>> ax = new_axes(True)
    >>> explain_colors(ax, heats.color_map(None, True), True, 2.0)
    >>> len(ax.figure.axes)
    2
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(-limit if signed else 0, limit), color_map)
    place = {"location": "bottom", "shrink": 0.6, "aspect": 40} if below else {"fraction": 0.05}
    bar = ax.figure.colorbar(scale, ax=ax, pad=0.03, **place)
    bar.set_label(
        "against the target    |    for the target" if signed else "evidence for the target", fontsize="small"
    )
    bar.ax.tick_params(labelsize="small")
    bar.outline.set_visible(False)
