"""What measures are given: targets that are found again, and attributions that are no attributions of the model."""

import keras
import numpy as np
import pytest

from keras_arch.explain import Attribution, IntegratedGradients
from keras_arch.explain.metrics import deletion, max_sensitivity, sparseness
from keras_arch.explain.metrics.subject import Subject, rows_of, target_of
from keras_arch.explain.region_target import MaskTarget
from keras_arch.explain.target import Selection

pytestmark = pytest.mark.backend
L = keras.layers


def model_of(outputs):
    inputs = keras.Input((4,))
    return keras.Model(inputs, outputs(inputs))


def several(inputs):
    return {"cls": L.Dense(3, name="cls")(inputs), "pair": [L.Dense(2)(inputs), L.Dense(1)(inputs)]}


HEADS = {
    "class": (L.Dense(3), 1),
    "classes": (L.Dense(3), [2, 0, 1]),
    "predicted": (L.Dense(3), None),
    "one unit": (L.Dense(1), None),
    "weights": (L.Dense(3), np.array([1.0, -1.0, 0.5])),
    "map": (lambda x: L.Reshape((2, 3))(L.Dense(6)(x)), (1, 2)),
    "maps": (lambda x: L.Reshape((2, 3))(L.Dense(6)(x)), np.array([[0, 0], [1, 1], [1, 2]])),
    "dict": (several, {"cls": [0, 1, 2], "pair": {1: None}}),
    "flat": (lambda x: keras.ops.sum(x, axis=-1), None),
}


@pytest.mark.parametrize("kind", HEADS)
def test_what_was_explained_is_scored_again(rng, kind):
    head, target = HEADS[kind]
    model, x = model_of(head), rng.normal(size=(3, 4)).astype("float32")
    attribution = IntegratedGradients().explain(model, x, target)
    subject = Subject(model, attribution)
    np.testing.assert_allclose(subject.scores, attribution.scores, rtol=1e-5, atol=1e-6)
    rows = np.array([2, 0, 0, 1])
    again = IntegratedGradients().explain(model, x[rows], target_of(rows_of(subject.selections, rows)))
    np.testing.assert_allclose(again.values, attribution.values[rows], rtol=1e-4, atol=1e-6)


def total(outputs):
    return keras.ops.sum(outputs, axis=-1)


def test_a_function_as_target_is_asked_for(rng):
    model, x = model_of(L.Dense(3)), rng.normal(size=(2, 4)).astype("float32")
    attribution = IntegratedGradients().explain(model, x, total)
    with pytest.raises(ValueError, match="target must be a function itself, not its name; received target='total'"):
        deletion(model, attribution)
    curves = deletion(model, attribution, target=total).curves
    np.testing.assert_allclose(curves[:, 0], attribution.scores, rtol=1e-5)


def test_regions_and_boxes_as_targets_are_scored_again_when_they_are_given(rng):
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, L.Conv2D(3, 3, padding="same")(inputs))
    x = rng.normal(size=(3, 4, 4, 2)).astype("float32")
    mask = rng.random((3, 4, 4)) > 0.4
    for target, recalled in ((MaskTarget(1), False), (MaskTarget(1, mask), True)):
        attribution = IntegratedGradients().explain(model, x, target)
        np.testing.assert_allclose(
            deletion(model, attribution, target=target).curves[:, 0], attribution.scores, rtol=1e-4
        )
        assert (max_sensitivity(model, attribution, target=target, draws=2).values < 1).all()
        if recalled:
            np.testing.assert_allclose(Subject(model, attribution).scores, attribution.scores, rtol=1e-4)
        else:
            with pytest.raises(ValueError, match="attribution must tell what it was made for.*Or pass target="):
                deletion(model, attribution)


def test_another_target_and_output_can_be_scored(rng):
    model = model_of(lambda x: L.Softmax()(L.Dense(3)(x)))
    x = rng.normal(size=(2, 4)).astype("float32")
    attribution = IntegratedGradients().explain(model, x, 1)
    outputs = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(deletion(model, attribution, target=2).curves[:, 0], outputs[:, 2], rtol=1e-5)
    logits = deletion(model, attribution, output="logits").curves[:, 0]
    want = keras.ops.convert_to_numpy(model.layers[1](x))[:, 1]
    np.testing.assert_allclose(logits, want, rtol=1e-5)


def own(values, inputs, target=1):
    return Attribution(values, inputs, target, None, np.zeros(len(values)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((2, 4), np.nan), "attribution must be finite; received values with NaN or infinity"),
        (np.array([["a"] * 4] * 2), "attribution must hold numbers"),
        (np.zeros(2), r"attribution must hold numbers of shape \(samples, ...\).*For one map pass map\[None\]"),
        (np.zeros((0, 4)), "attribution must hold numbers"),
        ([np.zeros((2, 4)), np.zeros((3, 4))], "equally many samples in each part"),
    ],
)
def test_values_that_are_no_map_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        sparseness(None, Attribution(values, np.zeros((2, 4)), None, None, np.zeros(2)))


def test_attributions_of_another_model_are_refused(rng):
    model, x = model_of(L.Dense(3)), rng.normal(size=(2, 4)).astype("float32")
    with pytest.raises(
        ValueError, match="attribution must be of this model, 'functional.*inputs do not fit it: x must have"
    ):
        deletion(model, own(np.zeros((2, 4, 1)), np.zeros((2, 4, 1))))
    with pytest.raises(ValueError, match="attribution must hold as many inputs as values"):
        deletion(model, own(np.zeros((2, 4)), np.zeros((3, 4))))
    with pytest.raises(ValueError, match=r"target must lie within 0\.\.2"):
        deletion(model, own(np.zeros((2, 4)), x, target=7))
    with pytest.raises(ValueError, match="attribution must be of a model with the outputs"):
        deletion(model_of(several), own(np.zeros((2, 4)), x, target={"other": np.zeros(2, "int32")}))
    with pytest.raises(ValueError, match=r"model must be the keras\.Model that was explained"):
        deletion(None, own(np.zeros((2, 4)), x))
    with pytest.raises(ValueError, match="output must be one of"):
        deletion(model, own(np.zeros((2, 4)), x), output="softmax")


def test_what_is_no_attribution_is_refused():
    with pytest.raises(ValueError, match=r"attribution must be a keras_arch\.explain\.Attribution; received .*ndarray"):
        sparseness(None, np.zeros((2, 4)))


def test_nested_targets_come_back_as_nested_dicts():
    parts = (Selection(("a", 1), "index", np.zeros((2, 1), "int32")), Selection(("b",), "function", total))
    found = target_of(parts)
    assert found["b"] is total
    assert found["a"][1].shape == (2, 1)
