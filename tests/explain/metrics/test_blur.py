"""Blurring against loops."""

import numpy as np
import pytest
from oracles.explain_metrics import blurred

from keras_arch.explain.metrics import Blur

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(("size", "sigma"), [(1, 5.0), (3, 0.7), (11, 5.0)])
def test_a_blurred_picture_equals_the_loop(rng, size, sigma):
    x = rng.normal(size=(2, 6, 5, 3)).astype("float32")
    got = Blur(size, sigma)(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [blurred(one, size, sigma) for one in x], atol=1e-6)


def test_constant_inputs_of_any_number_of_axes_stay():
    for shape in ((2, 7, 3), (2, 4, 4, 1), (2, 3, 3, 3, 2)):
        np.testing.assert_allclose(Blur()(np.full(shape, 2.0)), 2.0, rtol=1e-6)


def test_channels_do_not_mix(rng):
    x = np.concatenate([rng.normal(size=(1, 6, 1)), np.zeros((1, 6, 1))], axis=-1)
    assert not Blur()(x)[..., 1].any()


def test_settings_are_checked():
    with pytest.raises(ValueError, match="size must be odd to have a middle; received size=4. Use size=5"):
        Blur(size=4)
    with pytest.raises(ValueError, match="sigma must be a number in"):
        Blur(sigma=0)
