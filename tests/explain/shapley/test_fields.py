"""Shares of features as the fields of a result."""

import numpy as np
import pytest

from keras_arch.explain.perturbation.segments import Patches, segment
from keras_arch.explain.shapley.fields import fields

pytestmark = pytest.mark.backend


def test_the_delta_is_what_features_miss_and_positions_carry_their_feature():
    x = np.zeros((2, 4, 1))
    labels = np.array([[0, 0, 0, 0], [0, 0, 1, 1]])
    shares = np.array([[3.0, np.nan], [1.0, 0.5]])
    got = fields(shares, np.array([1.0, 0.25]), np.array([4.0, 2.0]), segment(labels, x), x)
    np.testing.assert_array_equal(got["values"][..., 0], [[3, 3, 3, 3], [1, 1, 0.5, 0.5]])
    np.testing.assert_allclose(got["convergence_delta"], [0.0, -0.25])
    np.testing.assert_allclose(got["baseline_scores"], [1.0, 0.25])
    np.testing.assert_array_equal(got["details"]["features"], shares.astype("float32"))
    np.testing.assert_array_equal(got["details"]["segments"][..., 0], labels)
    assert all(got[name].dtype == np.float32 for name in ("values", "baseline_scores", "convergence_delta"))


def test_shared_segments_have_a_row_for_each_sample():
    x = np.zeros((3, 4, 1))
    got = fields(np.zeros((3, 2)), np.zeros(3), np.zeros(3), segment(Patches(2), x), x)
    assert got["details"]["segments"].shape == (3, 4, 1)
