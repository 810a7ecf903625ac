"""A callback makes a folder named after the time and writes one picture an epoch."""

import datetime

import keras
import numpy as np
import pytest
from interop.tf_explain.written import written

from keras_arch.interop.tf_explain.picture_callback import PictureCallback


class Epochs(PictureCallback):
    """A gray picture, or one in color, that gets lighter."""

    channels = ()
    level = 0

    def picture(self):
        self.level += 50
        return np.full((2, 3, *self.channels), self.level, "uint8")


@pytest.mark.parametrize("channels", [(), (3,)])
def test_pictures_of_all_epochs_can_be_read_from_the_log(tmp_path, channels):
    callback = Epochs((np.zeros((1, 2)), None), tmp_path, "Light")
    callback.channels = channels
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    model.fit(np.ones((2, 2)), np.ones((2, 1)), epochs=3, verbose=0, callbacks=[callback])
    found = written(callback.output_dir)
    assert [(tag, step) for tag, step, _ in found] == [("Light", 0), ("Light", 1), ("Light", 2)]
    for number, (_, _, picture) in enumerate(found):
        assert picture.shape[:2] == (2, 3)
        assert (picture == 50 * (number + 1)).all()


def test_the_folder_is_named_after_the_time(tmp_path):
    callback = Epochs((np.zeros((1, 2)), None), tmp_path / "logs", "Light")
    assert callback.output_dir.parent == tmp_path / "logs"
    assert callback.output_dir.is_dir()
    datetime.datetime.strptime(callback.output_dir.name, "%Y%m%d-%H%M%S.%f")


def test_a_subclass_has_to_draw(tmp_path):
    with pytest.raises(NotImplementedError, match=r"PictureCallback must define picture\(\)"):
        PictureCallback((np.zeros((1, 2)), None), tmp_path, "Nothing").picture()
