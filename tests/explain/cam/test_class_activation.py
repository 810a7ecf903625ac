"""What all class activation maps share: layer, size, sign, calls, chunks, errors."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles import torch_twin

from keras_arch.explain import GradCAM
from keras_arch.explain.cam.class_activation import ClassActivationMap, size_of_input
from keras_arch.explain.cam.grad_cam_plus_plus import GradCAMPlusPlus
from keras_arch.explain.cam.hi_res_cam import HiResCAM
from keras_arch.explain.cam.layer_cam import LayerCAM
from keras_arch.explain.cam.resize import resize
from keras_arch.explain.cam.score_cam import ScoreCAM

pytestmark = pytest.mark.backend

L = keras.layers
MAPS = [GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM]


@pytest.mark.parametrize("make", MAPS)
def test_maps_are_cut_and_spread_over_the_input(make):
    model, x, classes = torch_twin.keras_net("tanh"), torch_twin.images(3), [2, 0, 1]
    raw = make(relu=False, interpolation=None).explain(model, x, classes)
    assert raw.layer == "features"
    assert raw.values.shape == (3, 5, 3, 1)
    assert (raw.values < 0).any()
    for interpolation in ("linear", "nearest"):
        got = make(interpolation=interpolation).explain(model, x, classes)
        if make is not ScoreCAM:  # whose masks are spread the same way
            want = resize(np.maximum(raw.values[..., 0], 0), (9, 7), interpolation)
            np.testing.assert_allclose(got.values[..., 0], want, atol=1e-6)
        assert got.values.shape == (3, 9, 7, 1)
        assert got.values.dtype == np.float32
        assert got.values.min() >= 0
    np.testing.assert_allclose(raw.scores, ops.convert_to_numpy(model(x))[range(3), classes], rtol=1e-4)


@pytest.mark.parametrize("make", MAPS)
def test_answers_do_not_depend_on_batch_mates_or_chunks(make):
    model, x, classes = torch_twin.keras_net("tanh"), torch_twin.images(5), [0, 1, 2, 0, 1]
    method = make(relu=False)
    whole = method.explain(model, x, classes).values
    scale = np.abs(whole).max()
    np.testing.assert_allclose(method.explain(model, x, classes, batch_size=3).values, whole, atol=1e-5 * scale)
    np.testing.assert_allclose(method.explain(model, x[3:4], 0).values[0], whole[3], atol=1e-5 * scale)


@pytest.mark.parametrize("make", MAPS)
def test_channels_first_is_the_same_turned(make, rng):
    last = keras.Sequential(
        [keras.Input((6, 5, 2)), L.Conv2D(3, 2, name="features"), L.Flatten(), L.Dense(2, bias_initializer="ones")]
    )
    first = keras.Sequential(
        [
            keras.Input((2, 6, 5)),
            L.Permute((2, 3, 1)),
            last.get_layer("features"),
            L.Permute((3, 1, 2), name="turned"),
            L.Permute((2, 3, 1)),
            *last.layers[1:],
        ]
    )
    x = rng.normal(size=(2, 6, 5, 2)).astype("float32")
    want = make(relu=False).explain(last, x, 1).values
    turned = make(layer="turned", relu=False, data_format="channels_first")
    got = turned.explain(first, np.moveaxis(x, -1, 1), 1).values
    assert got.shape == (2, 1, 6, 5)
    np.testing.assert_allclose(np.moveaxis(got, 1, -1), want, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("make", MAPS)
def test_maps_of_the_calls_of_a_shared_layer_are_summed(make, rng):
    inputs, shared = keras.Input((6, 6, 1)), L.Conv2D(1, 3, padding="same", name="shared", bias_initializer="ones")
    model = keras.Model(inputs, L.Dense(2, bias_initializer="ones")(L.Flatten()(shared(shared(inputs)))))
    x = rng.normal(size=(2, 6, 6, 1)).astype("float32")
    calls = [make(layer=f"shared:{call}", relu=False).explain(model, x, 1).values for call in (0, 1)]
    both = make(layer="shared", relu=False).explain(model, x, 1)
    np.testing.assert_allclose(both.values, calls[0] + calls[1], atol=1e-5 * np.abs(both.values).max())


@pytest.mark.parametrize("make", MAPS)
def test_a_layer_without_positions_is_named(make):
    model, x = torch_twin.keras_net(), torch_twin.images(2)
    with pytest.raises(ValueError, match=r"layer must return one, two or three axes .* returns shape \(2, 12\)"):
        make(layer=model.layers[3].name).explain(model, x, 1)
    vectors = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    with pytest.raises(ValueError, match=rf"layer must be given: .* Pass {make.__name__}\(layer=...\)"):
        make().explain(vectors, np.ones((1, 4)))


@pytest.mark.parametrize("make", MAPS)
def test_bad_settings_are_named(make):
    with pytest.raises(ValueError, match="interpolation must be one of"):
        make(interpolation="cubic")
    with pytest.raises(ValueError, match="data_format must be one of"):
        make(data_format="nchw")


def test_the_size_is_that_of_the_first_input_that_fits():
    assert size_of_input([np.zeros((1, 4)), np.zeros((1, 5, 6, 3))], 2, False) == (5, 6)
    assert size_of_input(np.zeros((1, 3, 5, 6)), 2, True) == (5, 6)
    assert size_of_input(np.zeros((1, 7)), 1, False) == (7,)
    with pytest.raises(ValueError, match="interpolation must be None where no input has 3 axes of positions"):
        size_of_input(np.zeros((1, 7)), 3, False)


def test_a_base_alone_says_what_is_missing():
    with pytest.raises(NotImplementedError, match="must define combine"):
        ClassActivationMap().explain(torch_twin.keras_net(), torch_twin.images(1), 0)
