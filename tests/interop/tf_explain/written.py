"""Pictures in the event files of a folder."""

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf


def written(folder: pathlib.Path) -> list[tuple[str, int, Any]]:
    """(tag, step, uint8 array) of every picture, in the order in which they were written."""
    found = []
    for path in sorted(folder.rglob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                picture = tf.io.decode_png(tf.make_ndarray(value.tensor)[2]).numpy()
                found.append((value.tag, event.step, np.asarray(picture)))
    return found
