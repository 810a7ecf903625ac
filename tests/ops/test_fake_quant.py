"""Fake quantization against value-by-value loops, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.fake_quant import fake_quant_channels_loop, fake_quant_loop, lsq_loop, nudged

from keras_arch.ops.fake_quant import (
    at_ends,
    fake_quant,
    grid_limits,
    learned_fake_quant,
    nudged_range,
    sqnr_db,
    straight_through,
    symmetric_range,
)

pytestmark = pytest.mark.backend
RANGES = [(-1.0, 1.05), (0.0, 6.0), (-3.0, 0.0), (-0.7, 2.9), (-0.001, 0.5)]


def away_from_ties(x, low, high, bits, narrow):
    """Values whose rounding does not hang on the last float32 digit."""
    first, _, step = nudged(low, high, bits, narrow)
    return x[np.abs(((x - first) / step) % 1.0 - 0.5) > 1e-2]


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_values_equal_the_loop(low, high, bits, narrow):
    x = np.random.default_rng(0).normal(0, 2, 300)
    x = away_from_ties(x, low, high, bits, narrow).astype("float32")
    got = ops.convert_to_numpy(fake_quant(x, low, high, bits, narrow))
    np.testing.assert_allclose(got, fake_quant_loop(x, low, high, bits, narrow), atol=2e-6)


@pytest.mark.parametrize("channel_axes", [1, 2])
def test_channels_equal_the_loop(channel_axes):
    generator = np.random.default_rng(1)
    x = generator.normal(0, 1, (5, 3, 4)).astype("float32")
    bound = generator.uniform(0.5, 2.0, x.shape[-channel_axes:]).astype("float32")
    got = ops.convert_to_numpy(fake_quant(x, -bound, bound, 8, True, channel_axes))
    expected = fake_quant_channels_loop(x, -bound, bound, 8, True, channel_axes)
    assert (np.abs(got - expected) < 2 * bound / 254 * 1e-2 + 1e-6).all()


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_nudged_range_equals_the_loop(low, high, narrow):
    got = [float(value) for value in nudged_range(low, high, 8, narrow)]
    np.testing.assert_allclose(got, nudged(low, high, 8, narrow), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("narrow", [False, True])
def test_symmetric_ranges_keep_zero_and_hold_the_bound(bits, narrow):
    low, high = symmetric_range(np.float32([0.3, 1.7, 12.1]), bits, narrow)
    first, last, step = (ops.convert_to_numpy(value) for value in nudged_range(low, high, bits, narrow))
    np.testing.assert_allclose(last, [0.3, 1.7, 12.1], rtol=1e-6)
    np.testing.assert_allclose(-first / step, 2 ** (bits - 1) - (1 if narrow else 0), rtol=1e-5)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_zero_maps_to_zero_exactly(low, high):
    assert not ops.convert_to_numpy(fake_quant(np.zeros(4, "float32"), low, high, 8)).any()


def test_at_most_all_values_of_the_grid_are_used():
    x = np.linspace(-3, 3, 5000, dtype="float32")
    for bits, narrow in ((2, False), (4, True), (8, True)):
        lowest, highest = grid_limits(bits, narrow)
        used = np.unique(np.round(ops.convert_to_numpy(fake_quant(x, -2.0, 2.0, bits, narrow)), 5))
        assert len(used) == highest - lowest + 1


def test_the_gradient_is_one_inside_the_range_and_zero_outside():
    """The layer's own gradient, through one optimizer step of w on sum(fake_quant(w))."""
    x = np.float32([-3.0, -0.99, -0.2, 0.0, 0.4, 0.99, 1.5, 7.0])

    class Quantized(keras.layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(len(x),), initializer="zeros", name="w")

        def call(self, ones):
            return ones * ops.sum(fake_quant(self.w, -1.0, 1.0, 8, True))

    layer = Quantized()
    model = keras.Sequential([keras.Input((1,)), layer])
    layer.w.assign(x)
    model.compile(keras.optimizers.SGD(1.0), loss=lambda target, output: ops.mean(output))
    model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
    np.testing.assert_allclose(x - ops.convert_to_numpy(layer.w), [0, 1, 1, 1, 1, 1, 0, 0], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_keeps_its_dtype_and_rounds_last(dtype):
    x = ops.cast(np.random.default_rng(2).normal(0, 1, (64,)), dtype)
    got = fake_quant(x, -2.0, 2.0, 8, True)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    expected = ops.cast(fake_quant(ops.cast(x, "float32"), -2.0, 2.0, 8, True), dtype)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ops.cast(got, "float32")), ops.convert_to_numpy(ops.cast(expected, "float32"))
    )


def test_sqnr_of_uniform_noise_follows_six_decibels_a_bit():
    x = np.random.default_rng(3).uniform(-1, 1, 20000).astype("float32")
    measured = [float(sqnr_db(x, fake_quant(x, -1.0, 1.0, bits))) for bits in (4, 6, 8)]
    np.testing.assert_allclose(measured, [20 * np.log10(2**bits) for bits in (4, 6, 8)], atol=0.8)
    assert float(sqnr_db(x, x)) == float("inf")


def test_ends_of_the_grid_are_counted_and_an_end_at_zero_is_not(rng):
    x = rng.normal(size=(500, 2)).astype("float32")
    low, high = np.float32([-0.5, 0.0]), np.float32([1.0, 0.7])
    got = ops.convert_to_numpy(at_ends(x, low, high, bits=4))
    first, last, _ = nudged(-0.5, 1.0, 4, False)
    np.testing.assert_array_equal(got[:, 0], (x[:, 0] <= first) | (x[:, 0] >= last))
    np.testing.assert_array_equal(got[:, 1], x[:, 1] >= np.float32(0.7))


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("bits", [2, 8])
def test_the_largest_value_of_a_tensor_is_at_an_end_of_its_own_range(bits, narrow, rng):
    for x in rng.normal(size=(20, 30)).astype("float32"):
        bound = np.abs(x).max()
        reached = ops.convert_to_numpy(at_ends(x, *symmetric_range(bound, bits, narrow), bits, narrow))
        assert reached.sum() == (np.abs(x).argmax() == x.argmax() or narrow)


class Stepping(keras.layers.Layer):
    """Rounds with a trained step, so that one step of SGD shows its gradient."""

    def __init__(self, step, lowest, highest, scale=1.0):
        super().__init__()
        self.settings = (lowest, highest, scale)
        self.step = self.add_weight(shape=np.shape(step), initializer="zeros")
        self.step.assign(step)

    def call(self, x):
        return learned_fake_quant(x, self.step.value, *self.settings)


def gradient_of_step(layer, x, y):
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    before = ops.convert_to_numpy(layer.step).astype("float64")
    model.fit(x, y, batch_size=len(x), verbose=0)
    return (before - ops.convert_to_numpy(layer.step)) / 1e-3


@pytest.mark.parametrize("step", [0.5, [0.3, 0.5, 0.9]])
def test_values_and_gradients_of_a_learned_step_are_the_papers(step, rng):
    x, y = rng.normal(size=(40, 3)).astype("float32"), rng.normal(size=(40, 3)).astype("float32")
    columns = [lsq_loop(column, one, -2, 3) for column, one in zip(x.T, np.broadcast_to(step, 3), strict=True)]
    values, by_step = (np.stack([column[i] for column in columns], -1) for i in (0, 1))
    layer = Stepping(step, -2.0, 3.0, scale=0.25)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), values, atol=1e-5)
    terms = 0.25 * 2 * (values - y) / y.size * by_step
    expected = terms.sum(0) if np.shape(step) else terms.sum()
    np.testing.assert_allclose(gradient_of_step(layer, x, y), expected, rtol=1e-2, atol=2e-4)


def test_the_gradient_of_a_learned_step_is_the_slope_of_the_loss_where_values_are_clipped(rng):
    x = (rng.choice([-1, 1], (30, 2)) * rng.uniform(5, 9, (30, 2))).astype("float32")
    y = rng.normal(size=(30, 2)).astype("float32")
    losses = [np.mean((lsq_loop(x, 0.7 + shift, -4, 3)[0] - y) ** 2) for shift in (-1e-4, 1e-4)]
    slope = (losses[1] - losses[0]) / 2e-4
    assert gradient_of_step(Stepping(0.7, -4.0, 3.0), x, y) == pytest.approx(slope, rel=1e-2)


def test_a_learned_step_keeps_low_precision():
    y = learned_fake_quant(ops.cast([0.3, 1.2], "bfloat16"), 0.5, -1.0, 1.0)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(y, "float32")), [0.5, 0.5])


class Handing(keras.layers.Layer):
    """Its weight's value is a rounded one, so that one step of SGD shows what gradient the weight gets."""

    def __init__(self, shape):
        super().__init__()
        self.w = self.add_weight(shape=shape, initializer="zeros", name="w")

    def call(self, x):
        w = ops.reshape(self.w.value, self.w.shape)
        return ops.sum(x * straight_through(w, ops.square(w)), axis=-1, keepdims=True)


def test_what_passes_straight_through_has_one_value_and_the_other_gradient(rng):
    w, x = (rng.normal(size=(4,)).astype("float32") for _ in range(2))
    same = straight_through(*map(ops.convert_to_tensor, (w, 3 * x)))
    np.testing.assert_array_equal(ops.convert_to_numpy(same), 3 * x)
    layer = Handing((4,))
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.w.assign(w)
    np.testing.assert_allclose(model.predict(x[None], verbose=0)[0, 0], np.sum(x * w**2), rtol=1e-5)
    model.compile(keras.optimizers.SGD(1.0), loss=lambda target, output: ops.mean(output))
    model.train_on_batch(x[None], np.ones((1, 1)))
    np.testing.assert_allclose(w - ops.convert_to_numpy(layer.w), x, rtol=1e-4, atol=1e-6)
