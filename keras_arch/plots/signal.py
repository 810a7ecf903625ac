"""A signal over time, on the colours of what each moment says for the target."""

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_arch.core.check import refuse
from keras_arch.explain.attribution import Attribution
from keras_arch.plots import heat as heats
from keras_arch.plots.overlay import explain_colors, new_axes
from keras_arch.plots.samples import title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def signal(
    attribution_or_signal: Any,
    heat: Any = None,
    *,
    index: int = 0,
    channel: int | None = None,
    ax: "Axes | None" = None,
    names: list[str] | None = None,
    cmap: Any = None,
    signed: bool | None = None,
    percentile: float = 99.0,
    colorbar: bool = True,
    title: str | None = None,
) -> "Axes":
    """Draw the channels of one sample as lines, and behind them the attribution of each time step as a colour.

    Args:
        attribution_or_signal: an `Attribution` of sequences (N, T) or (N, T, C), or one sequence (T,) or (T, C).
        heat: for a sequence: its attribution, (T,), (T, C), or (t,) of fewer steps, stretched over the time.
        index: for an attribution: which sample.
        channel: the one channel that is drawn, with its own attribution; None draws all and adds theirs up.
        ax: matplotlib Axes to draw on; None makes a new Figure.
        names: of the channels, for a legend.
        cmap: matplotlib colour map or its name; None as in `overlay`.
        signed: whether the colours run from -limit to limit, or from 0; None looks at the numbers.
        percentile: of the magnitudes; the colours end there.
        colorbar: whether the colours are explained beside the picture.
        title: above the picture; None says target and score of an attribution.
    Returns:
        The Axes.
    Raises:
        ValueError: if there is no sequence, shapes do not fit, or there is no such channel.

    >>> ax = ka.plots.signal(np.sin(np.arange(20.0)), heat=np.linspace(-1, 1, 20))
    >>> len(ax.lines)
    1
    """
    if isinstance(attribution_or_signal, Attribution):
        if heat is not None:
            raise refuse("heat", "must be None for an attribution, which has its own", heat, "Pass only one of them.")
        one = attribution_or_signal[index]
        values, heat = _sequence(one)
        title = title_of(one) if title is None else title
    else:
        values, heat = np.asarray(attribution_or_signal, "float32"), np.asarray(heat, "float32")
    values = values[:, None] if values.ndim == 1 else values
    heat = heat[:, None] if heat.ndim == 1 else heat
    if values.ndim != 2 or heat.ndim != 2 or heat.shape[1] not in (1, values.shape[1]) or not heat.size:
        raise ValueError(
            f"heat must be (T,) or (T, C) for a signal of that shape; received a signal of shape {values.shape} and a "
            f"heat of shape {heat.shape}. Pass one sample, without the batch axis."
        )
    channels = values.shape[1]
    if channel is not None:
        if not isinstance(channel, int) or not 0 <= channel < channels:
            raise refuse("channel", f"must be None or lie within 0..{channels - 1}", channel, "Choose one of these.")
        values = values[:, [channel]]
        heat = heat[:, [channel]] if heat.shape[1] > 1 else heat
        names = None if names is None else [names[channel]]
    elif names is not None and len(names) != channels:
        raise refuse("names", f"must be {channels}, one per channel", names, "Leave them out for none.")
    strength = heat.sum(1)
    signed = heats.is_signed(strength) if signed is None else signed
    ax = new_axes(False) if ax is None else ax
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 1.0
    box = (-0.5, len(values) - 0.5, low - margin, high + margin)
    colors = heats.colors(strength[None], cmap=cmap, signed=signed, percentile=percentile, alpha=0.85)
    ax.imshow(colors, extent=box, aspect="auto", interpolation="nearest", origin="lower")
    for place, line in enumerate(values.T):
        color = "#222222" if channels == 1 or channel is not None else f"C{place}"
        ax.plot(line, color=color, linewidth=1.2, label=None if names is None else names[place])
    ax.set_xlim(*box[:2])
    ax.set_ylim(*box[2:])
    ax.set_xlabel("time step", fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize="small")
    if names is not None:
        ax.legend(fontsize="small", frameon=False)
    if colorbar:
        explain_colors(ax, heats.color_map(cmap, signed), signed, heats.limit(strength, percentile))
    if title:
        ax.set_title(title, fontsize="medium")
    return ax


def _sequence(one: Attribution) -> tuple[np.ndarray, np.ndarray]:
    """The first input that is a sequence of floats, and its attribution."""
    inputs, values = keras.tree.flatten(one.inputs), keras.tree.flatten(one.values)
    for place, leaf in enumerate(inputs):
        if leaf.ndim in (2, 3) and leaf.dtype.kind == "f":
            return leaf[0], values[place if len(values) == len(inputs) else 0][0]
    raise refuse("attribution", "must be of sequences of floats", one, "Use plots.tokens for token ids.")
