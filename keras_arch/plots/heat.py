"""From numbers to colours: what a picture of an attribution says by hue and by opacity."""

from typing import Any

import numpy as np

from keras_arch.core import check

SIGNED_MAP = "RdBu_r"
POSITIVE_MAP = "inferno"


def flatten_channels(values: np.ndarray) -> np.ndarray:
    """One number per pixel: attributions of the channels add up, so that their sum over the picture stays.

    >>> flatten_channels(np.ones((2, 2, 3))).tolist()
    [[3.0, 3.0], [3.0, 3.0]]
    """
    return values if values.ndim < 3 else values.sum(-1)


def limit(heat: np.ndarray, percentile: float = 99.0) -> float:
    """Magnitude at which the colours end: a percentile of |heat|, so that single pixels do not wash out the rest.

    Args:
        heat: numbers of any shape.
        percentile: in (0, 100]; 100 is the largest magnitude.
    Returns:
        A positive number, 1.0 for heat that is zero everywhere.

    >>> limit(np.array([[0.0, -4.0], [1.0, 2.0]]), 100)
    4.0
    """
    percentile = check.real("percentile", percentile, minimum=0, maximum=100, open_minimum=True)
    magnitude = np.abs(heat)
    # Sparse maps can be zero at the percentile; the largest magnitude still shows them.
    return float(np.percentile(magnitude, percentile) or magnitude.max() or 1.0)


def is_signed(heat: np.ndarray) -> bool:
    """Whether there is evidence against the target, beyond rounding.

    >>> is_signed(np.array([0.0, 2.0])), is_signed(np.array([-1.0, 2.0]))
    (False, True)
    """
    return bool(heat.min() < -1e-6 * np.abs(heat).max())


def colors(
    heat: np.ndarray,
    *,
    cmap: Any = None,
    signed: bool | None = None,
    percentile: float = 99.0,
    alpha: float = 1.0,
) -> np.ndarray:
    """Colour a map: hue says for or against, opacity says how much.

    opacity = alpha · min(|heat| / limit, 1) ** 0.5

    Args:
        heat: (H, W).
        cmap: matplotlib colour map or its name; by default a diverging one that colour-blind readers can tell apart
            for signed heat, with its middle at zero, and a sequential one otherwise.
        signed: whether the map runs from -limit to limit, or from 0; None looks at the numbers.
        percentile: see `limit`.
        alpha: opacity of the strongest parts, in [0, 1].
    Returns:
        uint8 array (H, W, 4): red, green, blue, opacity.

    >>> colors(np.array([[0.0, 1.0]]))[..., 3].tolist()
    [[0, 255]]
    """
    alpha = check.real("alpha", alpha, minimum=0, maximum=1)
    signed = is_signed(heat) if signed is None else signed
    share = np.clip(heat / limit(heat, percentile), -1 if signed else 0, 1)
    rgba = color_map(cmap, signed)((share + 1) / 2 if signed else share)
    rgba[..., 3] = alpha * np.sqrt(np.abs(share))
    return np.round(255 * rgba).astype("uint8")


def color_map(cmap: Any, signed: bool) -> Any:
    """The matplotlib colour map that `colors` uses.

    >>> color_map(None, signed=True).name
    'RdBu_r'
    """
    import matplotlib

    return matplotlib.colormaps.get_cmap(cmap or (SIGNED_MAP if signed else POSITIVE_MAP))


def picture(image: np.ndarray) -> np.ndarray:
    """Pixels to look at, from samples of any range: grey (H, W) or RGB (H, W, 3), uint8.

    Integers are taken as 0 … 255 and floats within [0, 1] as they are; any other range is stretched from its
    smallest to its largest number. Channels other than one or three are averaged to grey.

    Args:
        image: (H, W) or (H, W, C).

    >>> picture(np.array([[-1.0, 1.0]])).tolist()
    [[0, 255]]
    """
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] != 3:
        image = image.mean(-1)
    low, high = float(image.min()), float(image.max())
    if image.dtype.kind in "iu" or (low >= 0 and 1 < high <= 255 and np.array_equal(image, np.round(image))):
        scaled = image / 255
    elif low >= 0 and high <= 1:
        scaled = image
    else:
        scaled = (image - low) / ((high - low) or 1)
    return np.round(255 * np.clip(scaled, 0, 1)).astype("uint8")
