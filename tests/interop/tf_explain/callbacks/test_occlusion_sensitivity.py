"""`OcclusionSensitivityCallback` writes the picture of the model as it is at the end of each epoch."""

import pathlib

import keras
import numpy as np
import pytest
from interop.tf_explain.written import written

from keras_arch.interop.tf_explain.callbacks.occlusion_sensitivity import OcclusionSensitivityCallback
from keras_arch.interop.tf_explain.core.occlusion_sensitivity import OcclusionSensitivity

pytestmark = pytest.mark.filterwarnings("ignore:.*follows tf-explain")


def test_each_epoch_is_drawn_as_the_model_then_is(net, images, tmp_path, assert_same_picture):
    model = net
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    callback = OcclusionSensitivityCallback((images, None), 1, patch_size=4, output_dir=tmp_path)
    model.fit(images, np.array([0, 1, 2]), epochs=2, verbose=0, callbacks=[callback])
    found = written(callback.output_dir)
    assert [(tag, step) for tag, step, _ in found] == [("Occlusion Sensitivity", 0), ("Occlusion Sensitivity", 1)]
    want = OcclusionSensitivity().explain((images, None), model, 1, patch_size=4)
    assert_same_picture(np.squeeze(found[-1][2]), want)
    assert (found[0][2] != found[1][2]).any()


def test_the_default_folder_is_tf_explains(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback = OcclusionSensitivityCallback((images, None), 1, patch_size=4)
    assert callback.output_dir.parent == pathlib.Path("logs/occlusion_sensitivity")
