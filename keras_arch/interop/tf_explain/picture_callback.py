"""What tf-explain's callbacks share: a folder for each run, and a picture for each epoch."""

import datetime
import pathlib
from typing import Any

import keras
import numpy as np


class PictureCallback(keras.callbacks.Callback):
    """Base of the callbacks in `keras_arch.interop.tf_explain.callbacks`: what `picture()` draws goes to TensorBoard.

    Args:
        validation_data: (x, y) to explain.
        output_dir: a folder named after the time is made in it.
        tag: of the picture.

    >>> PictureCallback((np.zeros((1, 2, 2, 1)), None), "logs", "Nothing").output_dir.parent
    PosixPath('logs')
    """

    def __init__(self, validation_data: tuple, output_dir: Any, tag: str) -> None:
        super().__init__()
        import tensorflow as tf

        self.validation_data = validation_data
        self.tag = tag
        self.output_dir = pathlib.Path(output_dir) / datetime.datetime.now().strftime("%Y%m%d-%H%M%S.%f")
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self.file_writer = tf.summary.create_file_writer(str(self.output_dir))

    def picture(self) -> np.ndarray:
        """Draw `self.model` as it is now: uint8 (h, w) or (h, w, 3); for subclasses to define."""
        raise NotImplementedError(f"{type(self).__module__}.{type(self).__qualname__} must define picture().")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write the picture as step `epoch`."""
        import tensorflow as tf

        picture = self.picture()
        picture = picture[..., None] if picture.ndim == 2 else picture  # (h, w, C)
        with self.file_writer.as_default():
            tf.summary.image(self.tag, picture[None], step=epoch)
        self.file_writer.flush()
