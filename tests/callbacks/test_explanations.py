"""Explanations in a real fit, read back from the event file."""

import io

import keras
import numpy as np
import pytest
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from keras_arch.callbacks import Explanations
from keras_arch.explain import GradCAM, IntegratedGradients
from keras_arch.plots.heat import colors, picture
from keras_arch.tensorboard.layout import parse_manifest

L = keras.layers


def net():
    model = keras.Sequential([keras.Input((6, 6, 1)), L.Conv2D(3, 3), L.GlobalAveragePooling2D(), L.Dense(2)])
    model.compile("sgd", "mse")
    return model


def events(folder):
    """[(tag, step, blobs)] of every image event of the run."""
    found = []
    for file in sorted(folder.iterdir()):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                found.append((value.tag, event.step, list(value.tensor.string_val)))
    return found


def pixels(png):
    return np.round(255 * imread(io.BytesIO(png), format="png")).astype("uint8")


def test_pictures_and_heat_of_every_epoch_are_written(tmp_path, rng):
    model = net()
    x, y = rng.uniform(size=(8, 6, 6, 1)).astype("float32"), np.ones((8, 2))
    methods = [GradCAM(relu=False), "integrated_gradients", GradCAM()]
    callback = Explanations(methods, x[:2], target=1, log_dir=tmp_path, every=2)
    model.fit(x, y, epochs=4, batch_size=4, callbacks=[callback], verbose=0)
    found = events(tmp_path)
    assert callback.tags == (
        "explanations/GradCAM",
        "explanations/IntegratedGradients",
        "explanations/GradCAM_2",
    )
    assert [(tag, step) for tag, step, _ in found] == [(tag, step) for step in (0, 4, 8) for tag in callback.tags]
    tag, _, blobs = found[-3]
    assert tag == callback.tags[0]
    final = GradCAM(relu=False).explain(model, x[:2], 1)
    labels = [f"target 1, score {score:.3g}" for score in final.scores]
    assert parse_manifest(blobs[0]) == {"images": 2, "heat": 2, "labels": labels}
    np.testing.assert_array_equal(pixels(blobs[1]), picture(x[0]))
    signed = bool((final.values < 0).any())
    np.testing.assert_array_equal(pixels(blobs[4]), colors(final.values[1, ..., 0], signed=signed))
    assert not np.array_equal(found[0][2][3], blobs[3])


def test_training_is_not_disturbed(rng, tmp_path):
    x, y = rng.uniform(size=(8, 6, 6, 1)), rng.normal(size=(8, 2))
    weights = []
    for callbacks in ([], [Explanations(GradCAM(), x[:2], log_dir=tmp_path)]):
        keras.utils.set_random_seed(1)
        model = net()
        model.fit(x, y, epochs=2, callbacks=callbacks, verbose=0)
        weights.append(model.get_weights())
    for plain, explained in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, explained)


def test_vectors_are_drawn_as_bars(tmp_path, rng):
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    model.compile("sgd", "mse")
    x = rng.normal(size=(4, 4))
    model.fit(x, np.ones((4, 2)), verbose=0, callbacks=[Explanations(IntegratedGradients(), x[:1], log_dir=tmp_path)])
    _, _, blobs = events(tmp_path)[-1]
    assert parse_manifest(blobs[0])["heat"] == 0
    assert pixels(blobs[1]).ndim == 3


def test_a_target_that_does_not_fit_stops_fit_before_training(tmp_path, rng):
    model = net()
    before = model.get_weights()
    x = rng.uniform(size=(4, 6, 6, 1))
    callback = Explanations(GradCAM(), x[:2], target=7, log_dir=tmp_path)
    with pytest.raises(ValueError, match=r"target must lie within 0..1"):
        model.fit(x, np.ones((4, 2)), callbacks=[callback], verbose=0)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


class Failing(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("stop")


def test_after_an_exception_the_next_fit_writes_on(tmp_path, rng):
    model, x = net(), rng.uniform(size=(4, 6, 6, 1))
    callback = Explanations(GradCAM(), x[:2], log_dir=tmp_path)
    with pytest.raises(RuntimeError, match="stop"):
        model.fit(x, np.ones((4, 2)), callbacks=[callback, Failing()], verbose=0)
    assert [step for _, step, _ in events(tmp_path)] == [0, 1]
    model.fit(x, np.ones((4, 2)), callbacks=[callback], verbose=0)
    assert [step for _, step, _ in events(tmp_path)] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("methods", "match"),
    [
        ([], "methods must be methods of keras_arch.explain"),
        ([3], "methods must be methods of keras_arch.explain; received methods=3"),
        ("gradcam", "methods must be an object or one of .*'grad_cam'"),
    ],
)
def test_what_is_no_method_is_refused(methods, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        Explanations(methods, np.ones((1, 6, 6, 1)), log_dir=tmp_path)


def test_every_must_be_positive():
    with pytest.raises(ValueError, match="every must be an integer >= 1"):
        Explanations(GradCAM(), np.ones((1, 6, 6, 1)), every=0)
