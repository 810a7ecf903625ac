"""Where the channels of an image stand, and how many there are."""

import keras

from keras_arch.core import check

DATA_FORMATS = ("channels_last", "channels_first")


def as_data_format(data_format: str | None) -> str:
    """Return the layout of images: the given one, or Keras's own setting for None.

    Raises:
        ValueError: for another name.

    >>> as_data_format("channels_first")
    'channels_first'
    """
    if data_format is None:
        return keras.config.image_data_format()
    return check.one_of("data_format", data_format, DATA_FORMATS)


def known_channels(shape: tuple, data_format: str, *, least_rank: int = 4, most_rank: int | None = None) -> int:
    """Return the number of channels of an input, or raise where it or the layout cannot be.

    Args:
        shape: (B, ..., C) or (B, C, ...).
        data_format: "channels_last" or "channels_first".
        least_rank: axes that the input has at least.
        most_rank: axes that it has at most; None for any number.
    Raises:
        ValueError: for another number of axes, or channels of unknown number.

    >>> known_channels((None, 8, None, 3), "channels_last")
    3
    """
    fits = least_rank <= len(shape) and (most_rank is None or len(shape) <= most_rank)
    channels = shape[-1 if data_format == "channels_last" else 1] if fits else None
    if channels is None:
        places = "height, width" if most_rank == 4 else "..."
        order = f"(batch, {places}, channels)" if data_format == "channels_last" else f"(batch, channels, {places})"
        raise check.refuse("inputs", f"must be {order} with a known number of channels", tuple(shape), "Reshape it.")
    return channels
