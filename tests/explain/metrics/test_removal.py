"""Curves of removal against loops, for every kind of input."""

import keras
import numpy as np
import pytest
from oracles.explain_metrics import area, removal_curve

from keras_arch.explain import Attribution
from keras_arch.explain.metrics import Blur, Deletion, Insertion, deletion, insertion

pytestmark = pytest.mark.backend
L = keras.layers


def own(model, x, values, target=1):
    """An attribution of one's own."""
    return Attribution(
        values=values, inputs=x, target=target, predictions=None, scores=np.zeros(len(values), "float32")
    )


def image_model():
    inputs = keras.Input((5, 4, 2))
    hidden = L.Flatten()(L.Conv2D(3, 3, activation="tanh", bias_initializer="random_normal")(inputs))
    return keras.Model(inputs, L.Dense(3, activation="softmax")(hidden))


def score_of(model, target=1):
    return lambda one: keras.ops.convert_to_numpy(model(one[None]))[0, target]


@pytest.mark.parametrize("insert", [False, True])
@pytest.mark.parametrize("steps", [1, 7, 20, 999])
def test_curves_of_pictures_equal_the_loop(rng, steps, insert):
    model, x = image_model(), rng.normal(size=(3, 5, 4, 2)).astype("float32")
    values = rng.normal(size=x.shape).astype("float32")
    start = rng.normal(size=(5, 4, 2)).astype("float32")
    metric = (Insertion if insert else Deletion)(steps=steps, baseline=start)
    got = metric.measure(model, own(model, x, values), batch_size=8)
    count = min(steps, 20)
    counts = [round(20 * step / count) for step in range(count + 1)]
    np.testing.assert_allclose(got.fractions, np.array(counts) / 20, rtol=1e-6)
    for one in range(3):
        want = removal_curve(score_of(model), x[one], values[one].sum(-1), start, counts, insert)
        np.testing.assert_allclose(got.curves[one], want, atol=1e-6)
        np.testing.assert_allclose(got.values[one], area(want, [part / 20 for part in counts]), atol=1e-6)


def test_maps_with_one_channel_or_none_mean_the_same(rng):
    model, x = image_model(), rng.normal(size=(2, 5, 4, 2)).astype("float32")
    values = rng.normal(size=(2, 5, 4, 1)).astype("float32")
    want = deletion(model, own(model, x, values)).curves
    np.testing.assert_array_equal(deletion(model, own(model, x, values[..., 0])).curves, want)
    np.testing.assert_allclose(deletion(model, own(model, x, np.repeat(values, 2, -1))).curves, want, atol=1e-6)


def test_features_are_removed_one_channel_at_a_time(rng):
    model, x = image_model(), rng.normal(size=(1, 5, 4, 2)).astype("float32")
    values = rng.normal(size=x.shape).astype("float32")
    got = deletion(model, own(model, x, values), unit="feature", steps=40)
    want = removal_curve(
        lambda flat: score_of(model)(flat.reshape(5, 4, 2)),
        x.ravel(),
        values.ravel(),
        np.zeros(40),
        list(range(41)),
        False,
    )
    np.testing.assert_allclose(got.curves[0], want, atol=1e-6)


def test_equal_attributions_go_in_the_order_of_memory():
    model = keras.Sequential([keras.Input((4,)), L.Dense(1, kernel_initializer="ones")])
    x = np.array([[1.0, 10.0, 100.0, 1000.0]], "float32")
    got = deletion(model, own(model, x, np.zeros((1, 4)), target=None))
    np.testing.assert_allclose(got.curves, [[1111, 1110, 1100, 1000, 0]])
    got = insertion(model, own(model, x, np.zeros((1, 4)), target=None))
    np.testing.assert_allclose(got.curves, [[0, 1, 11, 111, 1111]])


def test_tokens_are_replaced_by_the_id_that_stands_for_none(rng):
    inputs = keras.Input((6,), dtype="int32")
    model = keras.Model(inputs, L.Dense(3)(L.LSTM(4)(L.Embedding(9, 3)(inputs))))
    x = rng.integers(1, 9, (3, 6)).astype("int32")
    values = rng.normal(size=(3, 6, 3)).astype("float32")  # at the embedding
    for insert in (False, True):
        got = (Insertion if insert else Deletion)(baseline=8).measure(model, own(model, x, values), batch_size=4)
        for one in range(3):
            counts = list(range(7))
            want = removal_curve(score_of(model), x[one], values[one].sum(-1), np.full(6, 8, "int32"), counts, insert)
            np.testing.assert_allclose(got.curves[one], want, atol=1e-6)
    with pytest.raises(ValueError, match=r"baseline must be whole for inputs of int32; received baseline=0\.5"):
        deletion(model, own(model, x, values), baseline=0.5)


def test_several_inputs_share_one_order(rng):
    first, second = keras.Input((2,)), keras.Input((3,))
    model = keras.Model([first, second], L.Dense(2)(L.Concatenate()([first, second])))
    x = [rng.normal(size=(2, width)).astype("float32") for width in (2, 3)]
    values = [rng.normal(size=part.shape).astype("float32") for part in x]
    got = deletion(model, Attribution(values, x, 0, None, np.zeros(2)))
    for one in range(2):
        want = removal_curve(
            lambda flat: keras.ops.convert_to_numpy(model([flat[None, :2], flat[None, 2:]]))[0, 0],
            np.concatenate([part[one] for part in x]),
            np.concatenate([part[one] for part in values]),
            np.zeros(5, "float32"),
            list(range(6)),
            False,
        )
        np.testing.assert_allclose(got.curves[one], want, atol=1e-6)


@pytest.mark.parametrize("insert", [False, True])
def test_an_input_without_attributions_stays(rng, insert):
    picture, features = keras.Input((3, 3, 1)), keras.Input((2,))
    model = keras.Model([picture, features], L.Dense(1)(L.Concatenate()([L.Flatten()(picture), features])))
    x = [rng.normal(size=(2, 3, 3, 1)).astype("float32"), rng.normal(size=(2, 2)).astype("float32")]
    values = rng.normal(size=(2, 3, 3, 1)).astype("float32")
    metric = Insertion(baseline=0.0) if insert else Deletion()
    got = metric.measure(model, Attribution(values, x, None, None, np.zeros(2)))
    bare = keras.ops.convert_to_numpy(model([np.zeros_like(x[0]), x[1]]))[:, 0]
    whole = keras.ops.convert_to_numpy(model(x))[:, 0]
    np.testing.assert_allclose(got.curves[:, -1], whole if insert else bare, atol=1e-6)
    np.testing.assert_allclose(got.curves[:, 0], bare if insert else whole, atol=1e-6)


@pytest.mark.parametrize("metric", [Deletion(normalized=True), Insertion(normalized=True, baseline=0.5)])
def test_a_normalized_curve_runs_between_0_and_1(rng, metric):
    model, x = image_model(), rng.normal(size=(2, 5, 4, 2)).astype("float32")
    got = metric.measure(model, own(model, x, rng.normal(size=x.shape).astype("float32")))
    ends = [0, 1] if isinstance(metric, Insertion) else [1, 0]
    np.testing.assert_allclose(got.curves[:, [0, -1]], [ends] * 2, atol=1e-5)
    flat = own(model, np.full_like(x, 0.5), np.zeros_like(x))  # nothing to remove
    assert np.isnan(type(metric)(normalized=True, baseline=0.5).measure(model, flat).values).all()


def test_an_insertion_begins_at_the_blurred_picture(rng):
    model, x = image_model(), rng.normal(size=(2, 5, 4, 2)).astype("float32")
    got = insertion(model, own(model, x, np.zeros_like(x)))
    want = keras.ops.convert_to_numpy(model(Blur()(x)))[:, 1]
    np.testing.assert_allclose(got.curves[:, 0], want, atol=1e-6)
    at_zero = insertion(model, own(model, x, np.zeros_like(x)), baseline=0.0).curves[:, 0]
    assert np.abs(at_zero - want).max() > 1e-3


def test_a_segmentation_is_scored_at_its_target(rng):
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, L.Conv2D(2, 3, padding="same")(inputs))
    x = rng.normal(size=(2, 4, 4, 1)).astype("float32")
    got = deletion(model, own(model, x, rng.normal(size=x.shape), target=np.array([[1, 2, 0], [0, 0, 1]])))
    outputs = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(got.curves[:, 0], [outputs[0, 1, 2, 0], outputs[1, 0, 0, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be an integer >= 1; received steps=0"),
        ({"unit": "pixel"}, "unit must be one of 'feature', 'position'; received unit='pixel'"),
        ({"normalized": 1}, "normalized must be a bool; received normalized=1"),
    ],
)
def test_settings_are_refused_at_once(settings, message):
    for metric in (Deletion, Insertion):
        with pytest.raises(ValueError, match=message):
            metric(**settings)


def test_what_does_not_fit_the_input_is_refused(rng):
    model, x = image_model(), rng.normal(size=(2, 5, 4, 2)).astype("float32")
    with pytest.raises(
        ValueError, match=r"attribution must have values of the inputs' shapes .*\(2, 3, 2, 1\).*interpolation="
    ):
        deletion(model, own(model, x, np.zeros((2, 3, 2, 1))))
    with pytest.raises(ValueError, match="baseline must be a number, or have the shape"):
        deletion(model, own(model, x, np.zeros_like(x)), baseline=np.zeros(3))
