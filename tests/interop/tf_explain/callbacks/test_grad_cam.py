"""`GradCAMCallback` writes the picture of the model as it is at the end of each epoch."""

import pathlib

import keras
import numpy as np
import pytest
from interop.tf_explain.written import written

from keras_arch.interop.tf_explain.callbacks.grad_cam import GradCAMCallback
from keras_arch.interop.tf_explain.core.grad_cam import GradCAM

pytestmark = pytest.mark.filterwarnings("ignore:.*follows tf-explain")


def test_each_epoch_is_drawn_as_the_model_then_is(net, images, tmp_path, assert_same_picture):
    model = net
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    callback = GradCAMCallback((images, None), 1, layer_name="conv", use_guided_grads=False, output_dir=tmp_path)
    model.fit(images, np.array([0, 1, 2]), epochs=2, verbose=0, callbacks=[callback])
    found = written(callback.output_dir)
    assert [(tag, step) for tag, step, _ in found] == [("Grad CAM", 0), ("Grad CAM", 1)]
    want = GradCAM().explain((images, None), model, 1, layer_name="conv", use_guided_grads=False)
    assert_same_picture(np.squeeze(found[-1][2]), want)
    assert (found[0][2] != found[1][2]).any()


def test_the_default_folder_is_tf_explains(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback = GradCAMCallback((images, None), 1)
    assert callback.output_dir.parent == pathlib.Path("logs/grad_cam")
