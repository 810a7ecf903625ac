"""Draws of noise, and the running moments."""

import numpy as np
import pytest

from keras_arch.explain.gradient.noise import NoiseSteps, NoisyReading
from keras_arch.explain.gradient.point import Reading

pytestmark = pytest.mark.backend


def test_draws_are_repeated_and_do_not_depend_on_their_number():
    like = {"a": np.zeros((3, 2)), "b": np.zeros(4)}
    steps = NoiseSteps(5, 3, like)
    first, again, longer = list(steps), list(steps), list(NoiseSteps(5, 6, like))
    for one, two, three in zip(first, again, longer[:3], strict=True):
        for name in like:
            np.testing.assert_array_equal(one[0][name], two[0][name])
            np.testing.assert_array_equal(one[0][name], three[0][name])
    assert not np.array_equal(first[0][0]["a"], first[1][0]["a"])
    assert first[0][0]["a"].dtype == np.float32
    assert [round(1 / step[1]) for step in longer] == [1, 2, 3, 4, 5, 6]


def test_draws_are_standard_normal():
    draws = np.stack([noise for noise, _ in NoiseSteps(0, 400, np.zeros(50))])
    assert abs(draws.mean()) < 0.03
    assert abs(draws.std() - 1) < 0.03


def test_running_moments_are_the_moments(rng):
    gradients = rng.normal(size=(7, 2, 3)) + 1000
    total = (np.zeros((2, 3)), np.zeros((2, 3)))
    for step, gradient in enumerate(gradients):
        total = NoisyReading(Reading()).add(total, gradient, (np.zeros((2, 3)), 0.0), (np.zeros(3), 1 / (step + 1)))
    np.testing.assert_allclose(total[0], gradients.mean(0), rtol=1e-12)
    np.testing.assert_allclose(total[1] / 7, gradients.var(0), rtol=1e-9)
