import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import StochasticDepth

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("seed", [None, 4])
@pytest.mark.parametrize("shape", [(64,), (64, 3), (64, 2, 3), (64, 2, 3, 2), (64, 1, 2, 3, 2)])
def test_each_sample_is_dropped_whole_or_scaled_by_the_inverse_survival_rate(shape, seed, rng):
    x = rng.uniform(1, 2, shape).astype("float32")
    got = values(StochasticDepth(0.25, seed=seed)(x, training=True))
    survives = got.reshape(64, -1)[:, 0] != 0
    expected = [x[b] / 0.75 if survives[b] else np.zeros_like(x[b]) for b in range(64)]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert 0 < survives.sum() < 64


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_is_the_probability_of_being_dropped(rate):
    dropped = (values(StochasticDepth(rate, seed=2)(np.ones((4000, 1)), training=True)) == 0).mean()
    assert abs(dropped - rate) < 4 * np.sqrt(rate * (1 - rate) / 4000)


def test_mean_over_many_calls_is_the_input(rng):
    x, layer = rng.standard_normal((2, 3)).astype("float32"), StochasticDepth(0.2, seed=3)
    mean = values(layer(np.repeat(x, 8000, axis=0), training=True)).reshape(2, 8000, 3).mean(axis=1)
    np.testing.assert_allclose(mean, x, atol=0.03)


def test_inference_and_rate_zero_are_the_identity(rng):
    x = rng.standard_normal((5, 2, 3)).astype("float32")
    for layer, training in ((StochasticDepth(0.9), False), (StochasticDepth(0.9), None), (StochasticDepth(0.0), True)):
        np.testing.assert_array_equal(values(layer(x, training=training)), x)


def test_a_dropped_branch_that_overflowed_is_zero():
    got = values(StochasticDepth(0.5, seed=1)(np.full((32, 2), np.inf, "float32"), training=True))
    assert set(got.ravel().tolist()) == {0.0, np.inf}


def test_two_calls_drop_other_samples_and_equal_seeds_the_same():
    x = np.ones((64, 1), "float32")
    first, second = StochasticDepth(0.5, seed=7), StochasticDepth(0.5, seed=7)
    draws = [values(first(x, training=True)) for _ in range(2)]
    assert (draws[0] != draws[1]).any()
    np.testing.assert_array_equal(draws[0], values(second(x, training=True)))


def test_mask_passes_through():
    embedded = keras.layers.Embedding(3, 4, mask_zero=True)(np.array([[1, 2, 0, 0]]))
    output = StochasticDepth(0.0)(embedded)
    pooled = keras.layers.GlobalAveragePooling1D()(output)
    np.testing.assert_allclose(values(pooled), values(embedded)[:, :2].mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan"), "0.5", True])
def test_a_rate_outside_the_interval_is_refused(rate):
    with pytest.raises(ValueError, match=r"rate must be a number in \[0, 1\); received rate="):
        StochasticDepth(rate)


def test_a_scalar_is_refused():
    with pytest.raises(ValueError, match="inputs must have a batch axis"):
        StochasticDepth(0.5)(np.float32(1.0))
