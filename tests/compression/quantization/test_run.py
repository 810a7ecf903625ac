"""LiteRT files give what Keras gives, by name where there are several inputs, and wrong samples are refused."""

import keras
import numpy as np
import pytest

from keras_arch.compression import run_litert

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="LiteRT needs the TensorFlow backend")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    keras.utils.set_random_seed(0)
    image, number = keras.Input((4, 4, 1), name="image"), keras.Input((3,), name="number")
    x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3, activation="relu")(image))
    model = keras.Model(
        {"image": image, "number": number}, keras.layers.Dense(5)(keras.layers.Concatenate()([x, number]))
    )
    path = tmp_path_factory.mktemp("litert") / "two_inputs.tflite"
    model.export(str(path), format="litert", verbose=False)
    return model, path


def samples(rng, count=6):
    return {"image": rng.normal(size=(count, 4, 4, 1)), "number": rng.normal(size=(count, 3))}


def test_outputs_are_those_of_keras(exported, rng):
    model, path = exported
    given = samples(rng)
    np.testing.assert_allclose(run_litert(path, given), model.predict(given, verbose=0), atol=1e-5)


def test_missing_and_misshapen_samples_are_refused(exported, rng):
    _, path = exported
    given = samples(rng)
    with pytest.raises(ValueError, match=r"samples must hold an array for each of \['image', 'number'\]"):
        run_litert(path, given["image"])
    with pytest.raises(ValueError, match=r"samples must have shape \(N, 3\), N >= 1, for the input 'number'"):
        run_litert(path, {**given, "number": given["number"][:, :2]})
    with pytest.raises(ValueError, match=r"received shape \(0, 3\)"):
        run_litert(path, {**given, "number": given["number"][:0]})
    with pytest.raises(ValueError, match="equally many samples"):
        run_litert(path, {**given, "number": given["number"][:2]})


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "notes.tflite").write_text("not a model")
    with pytest.raises(ValueError, match="must name a LiteRT file"):
        run_litert(tmp_path / "notes.tflite", np.ones((1, 2)))
    with pytest.raises(FileNotFoundError):
        run_litert(tmp_path / "absent.tflite", np.ones((1, 2)))
