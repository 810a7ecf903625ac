"""ReLU with other backward passes against the formulas, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.ops.gradients import gradients
from keras_arch.ops.rectifier import plain_rectifiers, rectify

pytestmark = pytest.mark.backend

X = np.array([-2.0, -0.5, 0.25, 1.0, 3.0, 7.0, 8.0], "float32")
FLOW = np.array([1.0, -2.0, 3.0, -4.0, 5.0, 6.0, -7.0], "float32")


def flow(backward, **options):
    (found,) = gradients(
        lambda points: ops.sum(ops.multiply(FLOW, rectify(points[0], backward, **options))), [ops.convert_to_tensor(X)]
    )
    return ops.convert_to_numpy(found)


@pytest.mark.parametrize(("options", "highest", "lowest"), [({}, np.inf, 0), ({"max_value": 6.0}, 6, 0)])
def test_both_backward_passes_follow_their_formula(options, highest, lowest):
    opened = (lowest < X) & (highest > X)
    np.testing.assert_array_equal(flow("guided", **options), np.where(opened & (FLOW > 0), FLOW, 0))
    np.testing.assert_array_equal(flow("deconvnet", **options), np.maximum(FLOW, 0))


def test_values_are_those_of_keras():
    for options in ({}, {"max_value": 6.0}, {"threshold": 0.5}, {"threshold": 0.5, "max_value": 2.0}):
        want = keras.activations.relu(ops.convert_to_tensor(X), **options)
        got = rectify(ops.convert_to_tensor(X), "guided", **options)
        np.testing.assert_array_equal(ops.convert_to_numpy(got), ops.convert_to_numpy(want))
    np.testing.assert_array_equal(flow("guided", threshold=0.5), np.where((X > 0.5) & (FLOW > 0), FLOW, 0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_stays(dtype):
    x = ops.cast(X, dtype)
    assert keras.backend.standardize_dtype(rectify(x, "guided", max_value=6.0).dtype) == dtype
    (found,) = gradients(lambda points: ops.sum(ops.cast(rectify(points[0], "guided"), "float32")), [x])
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.cast(found, "float32")), X > 0)


def test_an_unknown_backward_pass_is_named():
    with pytest.raises(ValueError, match="backward must be one of 'deconvnet', 'guided'; received backward='plain'"):
        rectify(ops.convert_to_tensor(X), "plain")


def test_our_own_rectifier_is_not_listed_as_plain():
    with plain_rectifiers() as found:
        rectify(ops.convert_to_tensor(X), "guided", max_value=6.0)
    assert found == []
