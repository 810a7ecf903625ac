"""Ways of integrated gradients: closed forms, completeness on every way."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles import torch_twin

from keras_arch.explain import IntegratedGradients
from keras_arch.explain.gradient.paths import BrokenPath, StraightPath

pytestmark = pytest.mark.backend


def test_one_axis_after_the_other_gives_the_whole_product_to_the_last():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda t: ops.prod(t, axis=-1))])
    x = np.array([[2.0, 3.0, 5.0]], "float32")
    path = BrokenPath([[2.0, 0.0, 0.0], [2.0, 3.0, 0.0]])
    got = IntegratedGradients(steps=2, path=path).explain(model, x)
    np.testing.assert_allclose(got.values, [[0.0, 0.0, 30.0]], atol=1e-4)
    np.testing.assert_allclose(got.convergence_delta, 0, atol=1e-4)


def test_points_on_the_straight_way_change_nothing():
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(2)
    straight = IntegratedGradients(steps=24).explain(model, x, 1)
    broken = IntegratedGradients(steps=12, path=BrokenPath([x / 3])).explain(model, x, 1)
    np.testing.assert_allclose(broken.values, straight.values, atol=1e-4 * np.abs(straight.values).max())
    np.testing.assert_array_equal(
        IntegratedGradients(steps=24, path=StraightPath()).explain(model, x, 1).values, straight.values
    )


def test_values_add_up_on_any_way(rng):
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(3)
    path = BrokenPath([0.3, rng.normal(size=(9, 7, 2)), rng.normal(size=(3, 9, 7, 2))])
    got = IntegratedGradients(steps=40, path=path, baseline=-0.2).explain(model, x, [0, 1, 2])
    change = got.scores - got.baseline_scores
    np.testing.assert_allclose(got.values.sum((1, 2, 3)), change, atol=2e-3 * np.abs(change).max())
    start = ops.convert_to_numpy(model(np.full_like(x, -0.2)))[[0, 1, 2], [0, 1, 2]]
    np.testing.assert_allclose(got.baseline_scores, start, rtol=1e-4, atol=1e-5)


def test_a_way_at_a_layer_is_in_the_shape_of_the_layer():
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(2)
    got = IntegratedGradients(steps=20, layer="features", path=BrokenPath([0.5])).explain(model, x, 1)
    assert got.values.shape == (2, 5, 3, 5)
    change = got.scores - got.baseline_scores
    np.testing.assert_allclose(got.convergence_delta, 0, atol=1e-3 * np.abs(change).max())


@pytest.mark.parametrize("points", [[], 0.5, None])
def test_points_must_be_a_list(points):
    with pytest.raises(ValueError, match="points must be a list of one point or more"):
        BrokenPath(points)


def test_points_that_do_not_fit_and_other_ways_are_named():
    model, x = torch_twin.keras_net(), torch_twin.images(2)
    with pytest.raises(ValueError, match="must be a number, or have the shape of one sample"):
        IntegratedGradients(path=BrokenPath([np.ones(3)])).explain(model, x, 1)
    with pytest.raises(ValueError, match="path must be None, a BrokenPath or a BlurPath; received path='blur'"):
        IntegratedGradients(path="blur")
