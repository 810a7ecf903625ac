"""Values stay, gradients are those of the part, and the rest is booked."""

import numpy as np
import pytest
from keras import ops

from keras_arch.explain.relevance.ledger import Ledger, faded
from keras_arch.ops.gradients import gradients


@pytest.mark.backend
def test_keep_books_what_the_part_does_not_explain():
    x, one = ops.convert_to_tensor(np.float32([2.0, -3.0])), ops.ones(())

    def kept(x, one):
        return Ledger(one).keep(x**2 + 1, 3 * x)

    np.testing.assert_allclose(ops.convert_to_numpy(kept(x, one)), [5.0, 10.0])
    by_x, by_one = gradients(lambda points: ops.sum(kept(*points)), [x, one])
    np.testing.assert_allclose(ops.convert_to_numpy(by_x), [3.0, 3.0])
    np.testing.assert_allclose(ops.convert_to_numpy(by_one), (5 - 6) + (10 + 9))


@pytest.mark.backend
def test_passing_keeps_relevance_unit_by_unit():
    x = ops.convert_to_tensor(np.float32([0.5, -2.0, 0.0]))
    (found,) = gradients(lambda points: ops.sum(Ledger(ops.ones(())).passed(points[0], ops.sigmoid(points[0]))), [x])
    relevance = ops.convert_to_numpy(x * found)
    np.testing.assert_allclose(relevance[:2], 1 / (1 + np.exp([-0.5, 2.0])), rtol=1e-5)
    assert np.isfinite(ops.convert_to_numpy(found)).all()


@pytest.mark.backend
@pytest.mark.parametrize("factor", [0.0, 0.25, 1.0])
def test_fading_scales_gradients_only(factor):
    x = ops.convert_to_tensor(np.float32([1.5]))
    (found,) = gradients(lambda points: ops.sum(faded(points[0], factor)), [x])
    np.testing.assert_allclose(ops.convert_to_numpy(found), factor)
    np.testing.assert_allclose(ops.convert_to_numpy(faded(x, factor)), 1.5)
