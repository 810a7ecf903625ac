"""The grid search against an independent one over NumPy loops."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.fake_quant import fake_quant_loop

from keras_arch.compression import PerChannel, Scheme, quantize
from keras_arch.compression.quantization.layer import Placement, QuantizedLayer
from keras_arch.compression.quantization.observers import MSE, MovingAverage

pytestmark = pytest.mark.backend


def error_by_hand(x, low, high, scheme):
    if scheme.symmetric:
        high = max(-low, high)
        low = -high if scheme.narrow else -high * 2 ** (scheme.bits - 1) / (2 ** (scheme.bits - 1) - 1)
    return np.mean((x - fake_quant_loop(x, low, high, scheme.bits, scheme.narrow)) ** 2)


def best_by_hand(x, scheme, candidates):
    low, high = min(x.min(), 0), max(x.max(), 0)
    factors = [1 - i / candidates for i in range(candidates)]
    return min(error_by_hand(x, factor * low, factor * high, scheme) for factor in factors)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_no_candidate_rounds_better(bits, symmetric, rng):
    scheme = Scheme(bits, symmetric=symmetric, narrow=symmetric, observer=MSE(candidates=25))
    x = rng.standard_t(4, 300).astype("float32")
    low, high = (float(end) for end in scheme.measure(x))
    assert error_by_hand(x, low, high, scheme) == pytest.approx(best_by_hand(x, scheme, 25), rel=1e-3)


def test_channels_are_searched_one_by_one(rng):
    scheme = Scheme(3, narrow=True, observer=MSE(10))
    x = (rng.standard_t(3, (20, 4, 3)) * [1, 10, 0.1]).astype("float32")
    low, high = (ops.convert_to_numpy(end) for end in scheme.measure(x, (0, 1)))
    assert high.shape == (3,)
    for channel in range(3):
        one = x[..., channel].ravel()
        expected = best_by_hand(one, scheme, 10)
        assert error_by_hand(one, low[channel], high[channel], scheme) == pytest.approx(expected, rel=1e-3)


def test_two_bits_of_a_normal_sample_find_the_known_optimum(rng):
    # Three levels -b, 0, b of a normal density have the least error at b = 1.2240 (Max 1960, table I, N = 3).
    x = rng.normal(size=200_000).astype("float32")
    _, high = Scheme(2, narrow=True, observer=MSE(200)).measure(x)
    assert float(high) == pytest.approx(1.2240, abs=0.05)


def test_a_tensor_on_its_grid_keeps_its_whole_range():
    low, high = Scheme(8, narrow=True, observer="mse").measure(np.float32([-127, 3, 127]))
    assert (float(low), float(high)) == (-127.0, 127.0)
    assert [float(end) for end in Scheme(observer="mse").measure(np.zeros((4, 4), "float32"))] == [0.0, 0.0]


def test_infinite_values_are_not_clipped_away():
    assert not np.isfinite(float(Scheme(observer="mse").measure(np.float32([1.0, np.inf]))[1]))


def test_kernels_of_any_axes_round_with_less_noise_than_their_whole_range(rng):
    kernel = rng.standard_t(3, (3, 3, 8, 4)).astype("float32")
    for axes in ((), (3,), (2, 3), (1,)):
        noises = []
        for observer in ("mse", "min_max"):
            rounded = Scheme(3, narrow=True, observer=observer).quantize_kernel(kernel, axes)
            noises.append(np.square(ops.convert_to_numpy(rounded) - kernel).mean())
        assert noises[0] < 0.95 * noises[1], axes


def test_clipped_kernel_values_get_no_gradient():
    scheme = Scheme(2, narrow=True, observer="mse")
    layer = keras.layers.Dense(1, use_bias=False)
    wrapper = QuantizedLayer(layer, scheme, 8, Placement(outputs=()), phase="quantize")
    model = keras.Sequential([keras.Input((101,)), wrapper])
    before = np.append(np.full(100, 0.5), 0.8)[:, None].astype("float32")
    layer.kernel.assign(before)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(np.ones((4, 101), "float32"), np.zeros((4, 1)), batch_size=4, verbose=0)
    moved = (ops.convert_to_numpy(layer.kernel) != before)[:, 0]
    assert moved.tolist() == [True] * 100 + [False]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_fit_searches_for_kernels_and_activations(jit_compile, rng):
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("torch has no XLA")
    model = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Conv2D(4, 3, name="c")])
    activations = Scheme(4, symmetric=False, observer=MSE(10, decay=0.5))
    q = quantize(model, Scheme(4, granularity=PerChannel(), narrow=True, observer=MSE(10)), activations)
    q.compile("sgd", "mse", jit_compile=jit_compile)
    x = rng.standard_t(3, (16, 8, 8, 2)).astype("float32")
    layer = q.get_layer("c")
    layer.quantization_phase = "quantize"
    q.fit(x, np.zeros((16, 6, 6, 4)), batch_size=16, verbose=0)
    got = [float(ops.convert_to_numpy(end)) for end in layer.ranges["input_0"]]
    np.testing.assert_allclose(got, [float(end) for end in activations.measure(x)], rtol=1e-4)
    assert got[1] < 0.95 * x.max()


def test_batches_are_averaged():
    kept = (np.float32(-1.0), np.float32(2.0), np.float32(-3.0), np.float32(6.0), 5)
    for one, other in zip(MSE(decay=0.5).merge(*kept), MovingAverage(0.5).merge(*kept), strict=True):
        assert float(one) == float(other) != 6.0


@pytest.mark.parametrize(("arguments", "match"), [({"candidates": 0}, "candidates must"), ({"decay": 1}, "decay must")])
def test_settings_that_break_their_rule_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        MSE(**arguments)


def test_it_has_a_string_id_and_returns_from_its_config():
    assert Scheme(observer="mse").observer == MSE(40)
    observer = MSE(12, 0.5)
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(observer)) == observer
    assert not MSE.covers
