"""Targets of segmentation and detection, against sums and overlaps written out in NumPy."""

import keras
import numpy as np
import pytest

from keras_arch.explain import IntegratedGradients
from keras_arch.explain.region_target import BoxTarget, MaskTarget

L = keras.layers
convert = keras.ops.convert_to_numpy
pytestmark = pytest.mark.backend


def segmenter():
    layers = [L.Conv2D(4, 3, padding="same", activation="tanh"), L.Conv2D(3, 1, bias_initializer="random_normal")]
    return keras.Sequential([keras.Input((5, 6, 2)), *layers])


def detector():
    inputs = keras.Input((8,))
    boxes = L.Reshape((5, 4))(L.Dense(20, activation="sigmoid", bias_initializer="random_normal")(inputs))
    return keras.Model(
        inputs, {"boxes": boxes, "classes": L.Reshape((5, 3))(L.Dense(15, activation="sigmoid")(inputs))}
    )


def explain(model, x, target, **options):
    return IntegratedGradients(steps=16).explain(model, x, target, **options)


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
def test_a_mask_sums_its_class_where_it_is_set(rng, per_sample, mean):
    model, x = segmenter(), rng.normal(size=(3, 5, 6, 2)).astype("float32")
    mask = rng.random(size=(3, 5, 6) if per_sample else (5, 6)) > 0.5
    got = explain(model, x, MaskTarget(1, mask, mean=mean), batch_size=2)
    maps = convert(model(x))[..., 1]
    want = (maps * mask).sum((1, 2))
    want = want / np.broadcast_to(mask, (3, 5, 6)).sum((1, 2)) if mean else want
    np.testing.assert_allclose(got.scores, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got.values.sum((1, 2, 3)), got.scores - got.baseline_scores, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mean", [False, True])
def test_without_a_mask_the_positions_of_the_class_count(rng, mean):
    model, x = segmenter(), rng.normal(size=(3, 5, 6, 2)).astype("float32")
    outputs = convert(model(x))
    own = outputs.argmax(-1) == 2
    want = (outputs[..., 2] * own).sum((1, 2))
    got = explain(model, x, MaskTarget(2, mean=mean))
    want = want / np.maximum(own.sum((1, 2)), 1) if mean else want
    np.testing.assert_allclose(got.scores, want, rtol=1e-5, atol=1e-6)
    assert got.target == ("MaskTarget(2, mean=True)" if mean else "MaskTarget(2)")


def test_channels_may_come_first(rng):
    model = keras.Sequential([segmenter(), L.Permute((3, 1, 2))])
    x, mask = rng.normal(size=(2, 5, 6, 2)).astype("float32"), rng.random((5, 6)) > 0.5
    last = explain(model.layers[0], x, MaskTarget(1, mask))
    first = explain(model, x, MaskTarget(1, mask, data_format="channels_first"))
    np.testing.assert_allclose(first.values, last.values, rtol=1e-4, atol=1e-6)
    own = explain(model, x, MaskTarget(1, data_format="channels_first")).scores
    np.testing.assert_allclose(own, explain(model.layers[0], x, MaskTarget(1)).scores, rtol=1e-5)


def overlap(one, other):
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = np.prod(np.maximum(high - low, 0))
    area = [np.prod(np.maximum(box[2:] - box[:2], 0)) for box in (one, other)]
    return common / (sum(area) - common)


CORNERS = {
    "xyxy": lambda b: b,
    "yxyx": lambda b: b[[1, 0, 3, 2]],
    "xywh": lambda b: np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]]),
    "center_xywh": lambda b: np.array([b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2]),
}


@pytest.mark.parametrize("box_format", CORNERS)
def test_a_box_scores_its_best_candidate(rng, box_format):
    model, x = detector(), rng.normal(size=(3, 8)).astype("float32")
    box = np.array([[0.1, 0.2, 0.8, 0.9], [0.3, 0.1, 0.6, 0.7], [0.0, 0.0, 1.0, 1.0]], "float32")
    outputs = {name: convert(part) for name, part in model(x).items()}
    corners = CORNERS[box_format]
    want = [
        max(
            overlap(corners(found), corners(box[row])) * score
            for found, score in zip(outputs["boxes"][row], outputs["classes"][row][:, 2], strict=True)
        )
        for row in range(3)
    ]
    got = explain(model, x, BoxTarget(box, 2, box_format=box_format), batch_size=2)
    np.testing.assert_allclose(got.scores, want, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(got.target, box)


def half(outputs):
    return outputs / 2


def test_boxes_may_be_decoded_first_and_outputs_be_a_list(rng):
    named, x = detector(), rng.normal(size=(3, 8)).astype("float32")
    listed = keras.Model(named.input, [named.output["classes"], named.output["boxes"] * 2])
    box = (0.1, 0.2, 0.8, 0.9)
    want = explain(named, x, BoxTarget(box, 1)).scores
    got = explain(listed, x, BoxTarget(box, 1, boxes=1, classes=0, decode=half)).scores
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize(
    ("target", "match"),
    [
        (lambda: MaskTarget(3), r"index must lie within 0..2 .* received index=3"),
        (
            lambda: MaskTarget(1, np.ones((4, 6))),
            r"mask must be numbers of shape \(5, 6\) or \(2, 5, 6\).*shape \(4, 6\)",
        ),
        (lambda: MaskTarget(1, np.zeros((5, 6))), "mask must be finite and mark at least one position"),
        (lambda: MaskTarget(-1), "index must be"),
        (lambda: BoxTarget((0, 0, 1, 1), 0), r"'boxes' is none of \[\]"),
        (lambda: BoxTarget((1, 1, 0, 0), 0), "box must have an area in the format 'xyxy'"),
        (lambda: BoxTarget((1, 1, 0), 0), "box must be four finite numbers"),
    ],
)
def test_a_region_that_does_not_fit_is_refused(target, match):
    with pytest.raises(ValueError, match=match):
        explain(segmenter(), np.ones((2, 5, 6, 2), "float32"), target())


@pytest.mark.parametrize(
    ("target", "match"),
    [
        (lambda: BoxTarget((0, 0, 1, 1), 3), r"index must name a class of the output 'classes'.*index=3"),
        (lambda: BoxTarget((0, 0, 1, 1), 0, boxes="classes"), r"boxes must name an output of shape \(N, 5, 4\)"),
        (lambda: BoxTarget(np.tile([0.0, 0, 1, 1], (3, 1)), 0), "box must hold one row per sample, 2 in all"),
        (lambda: MaskTarget(1), "target must be a MaskTarget for one output .* the model has 2 outputs"),
    ],
)
def test_a_detection_that_does_not_fit_is_refused(target, match):
    with pytest.raises(ValueError, match=match):
        explain(detector(), np.ones((2, 8), "float32"), target())
