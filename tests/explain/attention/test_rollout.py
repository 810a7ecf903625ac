"""The maths of rollouts against loops in NumPy."""

import keras
import numpy as np
import pytest
from oracles import attention_rollout as oracle

from keras_arch.explain.attention import rollout

pytestmark = pytest.mark.backend


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def random_weights(rng, layers=3, samples=2, heads=3, length=5):
    scores = rng.normal(size=(layers, samples, heads, length, length)) * 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    return weights.astype("float32")


@pytest.mark.parametrize("heads", ["mean", "min", "max"])
@pytest.mark.parametrize(("residual", "discard"), [(0.5, 0.0), (0.2, 0.0), (0.5, 0.35)])
def test_one_row_of_the_product_equals_the_whole_product_in_loops(rng, heads, residual, discard):
    weights = random_weights(rng)
    matrices = [
        rollout.with_residual(rollout.without_smallest(rollout.fused(one, heads), discard), residual) for one in weights
    ]
    for n in range(2):
        want = oracle.rollout(list(weights[:, n]), heads, residual, discard)
        for query in range(5):
            row = rollout.start(np.ones((2, 5), "float32"), query)
            np.testing.assert_allclose(numpy(rollout.carried_back(row, matrices))[n], want[query], rtol=1e-5, atol=1e-7)
        row = rollout.start(np.ones((2, 5), "float32"), None)
        np.testing.assert_allclose(numpy(rollout.carried_back(row, matrices))[n], want.mean(0), rtol=1e-5, atol=1e-7)


def test_identity_attention_rolls_out_to_the_identity():
    eye = np.broadcast_to(np.eye(4, dtype="float32"), (1, 2, 4, 4))
    matrices = [rollout.with_residual(rollout.fused(eye), 0.5)] * 3
    for query in range(4):
        row = rollout.start(np.ones((1, 4), "float32"), query)
        np.testing.assert_allclose(numpy(rollout.carried_back(row, matrices))[0], np.eye(4)[query], atol=1e-7)


def test_the_residual_connection_keeps_half_of_a_swap():
    swap = np.array([[[[0.0, 1.0], [1.0, 0.0]]]], "float32")
    matrices = [rollout.with_residual(rollout.fused(swap), 0.5)]
    row = rollout.start(np.ones((1, 2), "float32"), 0)
    np.testing.assert_allclose(numpy(rollout.carried_back(row, matrices))[0], [0.5, 0.5])


def test_rows_that_see_nothing_keep_to_themselves_and_count_in_no_mean(rng):
    weights = random_weights(rng, layers=1)[0]
    weights[:, :, 3:] = 0
    weights[:, :, :, 3:] = 0
    matrix = numpy(rollout.with_residual(rollout.fused(weights), 0.5))
    np.testing.assert_allclose(matrix.sum(-1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(matrix[:, 3:], np.broadcast_to(np.eye(5)[3:], (2, 2, 5)))
    row = rollout.start(weights.sum((1, 3)) > 0, None)
    np.testing.assert_allclose(numpy(row)[:, 0], [[1 / 3, 1 / 3, 1 / 3, 0, 0]] * 2, rtol=1e-6)
    nothing = rollout.start(np.zeros((1, 3), bool), None)
    np.testing.assert_array_equal(numpy(nothing), np.zeros((1, 1, 3)))


def test_positive_influence_equals_loops(rng):
    weights, gradients = random_weights(rng), rng.normal(size=(3, 2, 3, 5, 5)).astype("float32")
    influence = [numpy(rollout.positive_influence(*pair)) for pair in zip(weights, gradients, strict=True)]
    matrices = [np.eye(5, dtype="float32") + one for one in influence]
    for n in range(2):
        want = oracle.gradient_rollout(list(weights[:, n]), list(gradients[:, n]))
        for query in range(5):
            row = rollout.start(np.ones((2, 5), "float32"), query)
            np.testing.assert_allclose(numpy(rollout.carried_back(row, matrices))[n], want[query], rtol=1e-4, atol=1e-6)


def test_a_pooling_has_other_queries_than_keys():
    pool = rollout.normalized(np.array([[[1.0, 3.0, 0.0]]], "float32"))
    row = rollout.start(np.ones((1, 1), "float32"), None)
    np.testing.assert_allclose(numpy(rollout.carried_back(row, [pool]))[0], [0.25, 0.75, 0.0])


def test_what_equals_the_smallest_kept_weight_stays():
    same = np.full((1, 2, 2), 0.5, "float32")
    np.testing.assert_array_equal(numpy(rollout.without_smallest(same, 0.5)), same)
    np.testing.assert_array_equal(numpy(rollout.without_smallest(same, 0.0)), same)
