"""What is taken from inputs: its statistics, its places, and that more draws leave the first ones as they were."""

import keras
import numpy as np
import pytest

from keras_arch.explain.metrics import GaussianNoise, NoisyBaseline, SquareRemoval
from keras_arch.explain.metrics.disturbance import draws

pytestmark = pytest.mark.backend


def test_noise_has_its_deviation():
    [(mask, shift)] = draws(GaussianNoise(0.3), [(40, 40)], count=20, seed=0)
    assert not mask.any()
    assert shift.std() == pytest.approx(0.3, rel=0.02)
    assert shift.mean() == pytest.approx(0, abs=0.01)


def test_a_noisy_baseline_takes_all_of_the_input():
    [(mask, shift)] = draws(NoisyBaseline(0.3, baseline=1.0), [(40, 40)], count=20, seed=0)
    x = np.full((20, 40, 40), 5.0)
    left = x - (mask * (x - 1.0) + shift)
    assert left.mean() == pytest.approx(1.0, abs=0.01)
    assert left.std() == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize(
    ("shape", "size"), [((9,), 3), ((9, 2), 3), ((6, 7, 3), 9), ((4, 5, 6, 2), 27), ((2,), 2), ((2, 9, 1), 6)]
)
def test_a_square_is_whole_and_all_channels_go_together(shape, size):
    [(mask, shift)] = draws(SquareRemoval(side=3), [shape], count=50, seed=0)
    assert not shift.any()
    assert (mask.reshape(50, -1).sum(axis=1) == size).all()
    assert mask.shape[1:] == (shape if len(shape) == 1 else (*shape[:-1], 1))


def test_squares_lie_everywhere():
    [(mask, _)] = draws(SquareRemoval(side=3), [(6, 7, 1)], count=300, seed=0)
    assert mask.max(axis=0).all()
    places = {(one.argmax(), one.sum()) for one in mask}
    assert len(places) == 4 * 5


def test_draws_depend_on_the_seed_and_their_number_only():
    few, many, other = (draws(GaussianNoise(), [(3,), (2, 2)], n, s) for n, s in ((2, 0), (5, 0), (2, 1)))
    for part in (0, 1):
        np.testing.assert_array_equal(few[part][1], many[part][1][:2])
        assert (few[part][1] != other[part][1]).all()
    assert (few[0][1][0] != few[0][1][1]).all()


@pytest.mark.parametrize("value", [GaussianNoise(0.5), NoisyBaseline(0.2, 1.0), SquareRemoval(4, -1.0)], ids=repr)
def test_values_survive_serialisation(value):
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(value)) == value


def test_settings_are_checked():
    for kind in (GaussianNoise, NoisyBaseline):
        with pytest.raises(ValueError, match=r"stddev must be a number in \(0, inf\); received stddev=0"):
            kind(0)
    with pytest.raises(ValueError, match="side must be an integer >= 1; received side=0"):
        SquareRemoval(0)
    with pytest.raises(ValueError, match="baseline must be a number"):
        SquareRemoval(1, baseline="blur")
