"""Grad-CAM against loops in NumPy, a manual tape and Captum."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.grad_cam import convolve, grad_cam

from keras_arch.explain import GradCAM

pytestmark = pytest.mark.backend

L = keras.layers


def pooled_net(activation=None):
    """One convolution without activation, so that its maps have both signs; every bias nonzero."""
    return keras.Sequential(
        [
            keras.Input((9, 7, 2)),
            L.Conv2D(4, 3, name="features", bias_initializer="random_normal"),
            L.GlobalAveragePooling2D(),
            L.Dense(3, name="head", bias_initializer="random_normal", activation=activation),
        ]
    )


def numpy_maps(model, x, classes, slope=1.0):
    kernel, bias = model.get_layer("features").get_weights()
    return grad_cam(convolve(x, kernel, bias), model.get_layer("head").get_weights()[0], classes, slope)


def test_raw_maps_equal_loops_in_numpy(rng):
    model, x = pooled_net(), rng.normal(size=(3, 9, 7, 2)).astype("float32")
    classes = np.array([2, 0, 1])
    want = numpy_maps(model, x, classes)
    got = GradCAM(interpolation=None, relu=False).explain(model, x, classes)
    assert got.values.shape == (3, 7, 5, 1)
    np.testing.assert_allclose(got.values[..., 0], want, rtol=1e-4, atol=1e-6)
    cut = GradCAM(interpolation=None).explain(model, x, classes)
    np.testing.assert_allclose(cut.values[..., 0], np.maximum(want, 0), rtol=1e-4, atol=1e-6)
    assert (want < 0).any()


def test_the_predicted_class_is_the_default_target(rng):
    model, x = pooled_net(), rng.normal(size=(5, 9, 7, 2)).astype("float32")
    got = GradCAM().explain(model, x)
    predicted = ops.convert_to_numpy(model(x)).argmax(1)
    np.testing.assert_array_equal(got.target, predicted)
    np.testing.assert_allclose(got.scores, ops.convert_to_numpy(model(x)).max(1), rtol=1e-5)
    np.testing.assert_allclose(got.values, GradCAM().explain(model, x, predicted).values, atol=1e-7)


def test_maps_of_probabilities_carry_the_slope_of_the_softmax(rng):
    model, x = pooled_net("softmax"), rng.normal(size=(3, 9, 7, 2)).astype("float32")
    classes = np.array([1, 1, 2])
    method = GradCAM(interpolation=None, relu=False)
    logits = method.explain(model, x, classes, output="logits")
    np.testing.assert_allclose(logits.values[..., 0], numpy_maps(model, x, classes), rtol=1e-4, atol=1e-6)
    # ∂p_k/∂A = p_k (∂z_k/∂A - Σ_j p_j ∂z_j/∂A), so maps of all logits give those of a probability.
    each = np.stack([numpy_maps(model, x, np.full(3, k)) for k in range(3)], -1)  # (N, h, w, K)
    p = ops.convert_to_numpy(model(x))
    mean = np.einsum("nhwk,nk->nhw", each, p)
    chosen = np.take_along_axis(p, classes[:, None], 1)
    want = chosen[:, None] * (np.take_along_axis(each, classes[:, None, None, None], -1)[..., 0] - mean)
    for output in ("model", "probabilities"):
        got = method.explain(model, x, classes, output=output)
        np.testing.assert_allclose(got.values[..., 0], want, rtol=1e-3, atol=1e-7)


def test_a_layer_inside_a_nested_model_is_the_default_and_is_reached_by_path(rng):
    backbone = keras.Sequential([keras.Input((8, 8, 1)), L.Conv2D(3, 3, name="inner"), L.ReLU(name="out")], name="back")
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(backbone(L.Rescaling(0.5)(inputs)))))
    x = rng.normal(size=(2, 8, 8, 1)).astype("float32")
    default = GradCAM().explain(model, x, 1)
    assert default.layer == "back/out"
    for choice in ("back/out", "out", backbone.get_layer("out")):
        np.testing.assert_array_equal(GradCAM(layer=choice).explain(model, x, 1).values, default.values)
    features = ops.convert_to_numpy(backbone(x * 0.5))
    want = np.maximum(grad_cam(features, model.layers[-1].get_weights()[0], np.array([1, 1])), 0)
    got = GradCAM(interpolation=None).explain(model, x, 1)
    np.testing.assert_allclose(got.values[..., 0], want, rtol=1e-4, atol=1e-7)


def test_the_last_layer_with_positions_before_the_output_is_the_default():
    inputs = keras.Input((8, 8, 1))
    y = L.Conv2D(2, 3, padding="same", name="first")(inputs)
    y = L.Conv2D(2, 3, padding="same", name="second")(y)
    dropped = L.Dropout(0.5, name="dropout")(y)
    squeezed = L.GlobalAveragePooling2D(keepdims=True, name="one_position")(dropped)
    classifier = keras.Model(inputs, L.Dense(2)(L.Flatten()(squeezed)))
    assert GradCAM().explain(classifier, np.ones((1, 8, 8, 1))).layer == "second"
    segmenter = keras.Model(inputs, L.Conv2D(2, 1, name="head")(y))
    assert GradCAM().explain(segmenter, np.ones((1, 8, 8, 1)), (3, 3, 0)).layer == "second"


@pytest.mark.parametrize(
    ("axes", "conv", "pool"), [(1, L.Conv1D, L.GlobalAveragePooling1D), (3, L.Conv3D, L.GlobalAveragePooling3D)]
)
def test_signals_of_one_and_three_dimensions(rng, axes, conv, pool):
    shape = (6, 5, 4)[:axes]
    model = keras.Sequential([keras.Input((*shape, 2)), conv(3, 2, name="features"), pool(), L.Dense(2)])
    x = rng.normal(size=(2, *shape, 2)).astype("float32")
    got = GradCAM(relu=False).explain(model, x, 0)
    assert got.values.shape == (2, *shape, 1)
    features = ops.convert_to_numpy(model.get_layer("features")(x))
    alpha = model.layers[-1].get_weights()[0][:, 0] / np.prod(features.shape[1:-1])
    raw = GradCAM(relu=False, interpolation=None).explain(model, x, 0)
    np.testing.assert_allclose(raw.values[..., 0], features @ alpha, rtol=1e-4, atol=1e-6)


def test_channels_first_is_honoured(rng):
    last = pooled_net()
    first = keras.Sequential(
        [
            keras.Input((2, 9, 7)),
            L.Permute((2, 3, 1)),
            last.get_layer("features"),
            L.Permute((3, 1, 2), name="turned"),
            L.GlobalAveragePooling2D(data_format="channels_first"),
            last.get_layer("head"),
        ]
    )
    x = rng.normal(size=(2, 9, 7, 2)).astype("float32")
    want = GradCAM().explain(last, x, 1)
    turned = GradCAM(layer="turned", data_format="channels_first").explain(first, np.moveaxis(x, -1, 1), 1)
    assert turned.values.shape == (2, 1, 9, 7)
    np.testing.assert_allclose(turned.values[:, 0], want.values[..., 0], rtol=1e-4, atol=1e-7)


def test_a_shared_layer_gives_the_sum_of_its_calls_or_the_one_that_is_named(rng):
    inputs, shared = keras.Input((6, 6, 1)), L.Conv2D(1, 3, padding="same", name="shared", bias_initializer="ones")
    head = L.Dense(2, bias_initializer="ones")
    pool = L.GlobalAveragePooling2D()
    model = keras.Model(inputs, head(pool(shared(shared(inputs)))))
    first, second = (L.Conv2D(1, 3, padding="same", name=name) for name in ("first", "second"))
    apart = keras.Model(inputs, head(pool(second(first(inputs)))))
    for layer in (first, second):
        layer.set_weights(shared.get_weights())
    x = rng.normal(size=(2, 6, 6, 1))
    want = [GradCAM(layer=name, relu=False).explain(apart, x, 1).values for name in ("first", "second")]
    for call in (0, 1):
        got = GradCAM(layer=f"shared:{call}", relu=False).explain(model, x, 1)
        np.testing.assert_allclose(got.values, want[call], rtol=1e-5, atol=1e-8)
        assert got.layer == f"shared:{call}"
    both = GradCAM(layer="shared", relu=False).explain(model, x, 1)
    np.testing.assert_allclose(both.values, want[0] + want[1], rtol=1e-5, atol=1e-8)
    with pytest.raises(ValueError, match=r"layer must be called 3 times; 'shared' is not"):
        GradCAM(layer="shared:2").explain(model, x, 1)


def test_calls_of_different_shapes_are_not_summed(rng):
    inputs, shared = keras.Input((6, 6, 1)), L.Conv2D(1, 3, name="shared")
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(shared(shared(inputs)))))
    with pytest.raises(ValueError, match=r"layer must return one shape at all of its 2 calls .* layer='encoder:0'"):
        GradCAM(layer="shared").explain(model, rng.normal(size=(1, 6, 6, 1)))


def two_headed():
    inputs = keras.Input((6, 6, 1))
    left = L.Conv2D(2, 3, name="left")(inputs)
    right = L.Conv2D(2, 3, name="right")(inputs)
    return keras.Model(
        inputs,
        {
            name: L.Dense(2, name=f"{name}_head")(L.GlobalAveragePooling2D()(y))
            for name, y in (("a", left), ("b", right))
        },
    )


def test_a_layer_that_does_not_lead_to_the_target_is_named():
    with pytest.raises(ValueError, match="layer must lead to the target .* nothing flows back to 'right'"):
        GradCAM(layer="right").explain(two_headed(), np.ones((1, 6, 6, 1)), {"a": 0})


@pytest.mark.parametrize(
    ("layer", "match"),
    [
        ("lefd", r"layer must name a layer of the model; received layer='lefd'. The nearest are: left"),
        ("a_head", r"layer must return one, two or three axes of positions .* 'a_head' returns shape \(1, 2\)"),
        (L.Dense(1, name="stranger"), "layer must be part of the model"),
    ],
)
def test_a_layer_that_does_not_fit_is_named(layer, match):
    with pytest.raises(ValueError, match=match):
        GradCAM(layer=layer).explain(two_headed(), np.ones((1, 6, 6, 1)), {"a": 0})


def test_a_model_without_feature_maps_asks_for_a_layer():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, name="hidden"), L.Dense(2)])
    with pytest.raises(ValueError, match=r"layer must be given: .* The last layers return: hidden \(3,\)"):
        GradCAM().explain(model, np.ones((1, 4)))


def test_a_layer_inside_a_loop_is_refused():
    cell = L.LSTMCell(3, name="cell")
    model = keras.Sequential([keras.Input((5, 2)), L.RNN(cell), L.Dense(2)])
    with pytest.raises(ValueError, match=r"layer must .*'cell'"):
        GradCAM(layer="cell").explain(model, np.ones((1, 5, 2)))


def test_a_flat_gradient_warns(rng):
    model = pooled_net()
    model.get_layer("head").set_weights([np.zeros((4, 3)), np.ones(3)])
    with pytest.warns(UserWarning, match="All gradients at layer 'features' are zero"):
        GradCAM().explain(model, rng.normal(size=(2, 9, 7, 2)), 0)


@pytest.mark.parametrize("settings", [{"interpolation": "cubic"}, {"data_format": "nchw"}])
def test_bad_settings_are_named(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be one of"):
        GradCAM(**settings)


@pytest.mark.oracle
def test_maps_before_resizing_equal_captum(rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    model, x = pooled_net(), rng.normal(size=(3, 9, 7, 2)).astype("float32")
    conv, dense = torch.nn.Conv2d(2, 4, 3), torch.nn.Linear(4, 3)
    kernel, bias = model.get_layer("features").get_weights()
    conv.weight.data, conv.bias.data = torch.tensor(kernel.transpose(3, 2, 0, 1).copy()), torch.tensor(bias)
    kernel, bias = model.get_layer("head").get_weights()
    dense.weight.data, dense.bias.data = torch.tensor(kernel.T.copy()), torch.tensor(bias)
    twin = torch.nn.Sequential(conv, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), dense)
    images = torch.tensor(x.transpose(0, 3, 1, 2).copy())
    for relu in (False, True):
        want = attr.LayerGradCam(twin, conv).attribute(images, target=1, relu_attributions=relu).detach().numpy()
        got = GradCAM(interpolation=None, relu=relu).explain(model, x, 1).values
        assert np.abs(got[..., 0] - want[:, 0]).max() <= 1e-6 * np.abs(want).max()
