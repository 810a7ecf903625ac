"""Score-CAM against loops over samples and channels."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles import class_activation, torch_twin
from oracles.keras_maps import features_and_gradient

from keras_arch.explain.cam.resize import resize
from keras_arch.explain.cam.score_cam import Masking, ScoreCAM

pytestmark = pytest.mark.backend

L = keras.layers
CLASSES = [2, 0, 1]


def loops(model, x, softmax, features, interpolation="linear"):
    def spread(small):
        return resize(small[None], (9, 7), interpolation)[0]

    def score(n, image):
        return float(ops.convert_to_numpy(model(image[None].astype("float32")))[0, CLASSES[n]])

    return class_activation.score_cam(features, x, spread, score, softmax)


@pytest.mark.parametrize("weights", ["score", "softmax"])
@pytest.mark.parametrize("interpolation", ["linear", "nearest", None])
def test_maps_equal_loops(weights, interpolation):
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(3)
    features = features_and_gradient(model, x, CLASSES)[0]
    want = loops(model, x, weights == "softmax", features, interpolation or "linear")
    method = ScoreCAM(weights=weights, relu=False, interpolation=interpolation)
    got = method.explain(model, x, CLASSES, batch_size=4)
    want = want if interpolation is None else resize(want, (9, 7), interpolation)
    np.testing.assert_allclose(got.values[..., 0], want, atol=1e-4 * np.abs(want).max())
    np.testing.assert_allclose(got.scores, ops.convert_to_numpy(model(x))[range(3), CLASSES], rtol=1e-4)


def test_only_the_channels_that_vary_most_are_tried():
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(3)
    features = features_and_gradient(model, x, CLASSES)[0]
    order = np.argsort(-features.std((1, 2)), axis=1)[:, :2]
    kept = np.take_along_axis(features, order[:, None, None, :], axis=-1)
    got = ScoreCAM(channels=2, relu=False, interpolation=None).explain(model, x, CLASSES)
    want = loops(model, x, False, kept)
    np.testing.assert_allclose(got.values[..., 0], want, atol=1e-4 * np.abs(want).max())
    every = [ScoreCAM(channels=count).explain(model, x, CLASSES).values for count in (5, 99, None)]
    np.testing.assert_array_equal(every[0], every[2])
    np.testing.assert_array_equal(every[1], every[2])


@pytest.mark.parametrize("weights", ["score", "softmax"])
def test_a_channel_that_is_equal_everywhere_counts_nothing(weights):
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(3)
    kernel, bias = model.get_layer("features").get_weights()
    kernel[..., 1] = 0
    model.get_layer("features").set_weights([kernel, bias])
    features = features_and_gradient(model, x, CLASSES)[0]
    want = loops(model, x, weights == "softmax", features[..., [0, 2, 3, 4]])
    got = ScoreCAM(weights=weights, relu=False, interpolation=None).explain(model, x, CLASSES).values[..., 0]
    np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())
    model.get_layer("features").set_weights([0 * kernel, bias])
    with pytest.warns(UserWarning, match="zero"):
        got = ScoreCAM(weights=weights).explain(model, x, CLASSES).values
    np.testing.assert_array_equal(got, 0)


def test_scores_are_probabilities_where_they_are_asked_for():
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(3)
    ended = keras.Sequential([keras.Input((9, 7, 2)), *model.layers, L.Softmax()])
    want = loops(ended, x, False, features_and_gradient(model, x, CLASSES)[0])
    for output in ("model", "probabilities"):
        got = ScoreCAM(relu=False, interpolation=None).explain(ended, x, CLASSES, output=output)
        np.testing.assert_allclose(got.values[..., 0], want, atol=1e-4 * np.abs(want).max())


def test_inputs_without_the_positions_stay_as_they_are(rng):
    picture, table = keras.Input((6, 6, 1)), keras.Input((3,))
    pooled = L.GlobalAveragePooling2D()(L.Conv2D(2, 3, name="features")(picture))
    model = keras.Model([picture, table], L.Dense(2)(L.Concatenate()([pooled, table])))
    x = [rng.normal(size=(2, 6, 6, 1)).astype("float32"), rng.normal(size=(2, 3)).astype("float32")]
    assert ScoreCAM().explain(model, x, 1).values.shape == (2, 6, 6, 1)
    changed = Masking((True, False))([ops.convert_to_tensor(part) for part in x], ops.zeros((2, 6, 6, 1)))
    np.testing.assert_array_equal(ops.convert_to_numpy(changed[0]), 0)
    np.testing.assert_array_equal(ops.convert_to_numpy(changed[1]), x[1])


def test_token_ids_cannot_be_masked(rng):
    inputs = keras.Input((5,), dtype="int32")
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling1D()(L.Embedding(9, 3, name="table")(inputs))))
    with pytest.raises(ValueError, match=r"x must have an input of floats with 1 axes of positions .* int32\(2, 5\)"):
        ScoreCAM(layer="table").explain(model, rng.integers(0, 9, (2, 5)).astype("int32"), 1)


@pytest.mark.parametrize("settings", [{"weights": "mean"}, {"channels": 0}])
def test_bad_settings_are_named(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        ScoreCAM(**settings)
