"""Percentiles against NumPy's."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.compression import PerChannel, Scheme, quantize
from keras_arch.compression.quantization.layer import Placement, QuantizedLayer
from keras_arch.compression.quantization.observers import MinMax, MovingAverage, Percentile
from keras_arch.compression.quantization.observers.percentile import upper_quantile

pytestmark = pytest.mark.backend


def ends(pair):
    return [ops.convert_to_numpy(end) for end in pair]


@pytest.mark.parametrize("tail", [0.0, 0.0001, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 2, 37])
def test_quantiles_of_rows_are_numpys(tail, count, rng):
    x = rng.normal(size=(3, count)).astype("float32")
    got = ops.convert_to_numpy(upper_quantile(x, tail))
    np.testing.assert_allclose(got, np.quantile(x, 1 - tail, axis=1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("axes", [None, (0, 1, 2), (0, 1), (0, 3)])
@pytest.mark.parametrize("percentile", [75, 99.0, 100])
def test_the_range_is_numpys_percentiles_and_holds_zero(axes, percentile, rng):
    x = rng.normal(0.3, 1, (5, 6, 4, 3)).astype("float32")
    low, high = ends(Percentile(percentile).measure(x, axes))
    np.testing.assert_allclose(low, np.minimum(np.percentile(x, 100 - percentile, axes), 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(high, np.maximum(np.percentile(x, percentile, axes), 0), rtol=1e-4, atol=1e-5)


def test_one_outlier_in_many_does_not_widen_the_range(rng):
    x = rng.uniform(-1, 1, 50_000).astype("float32")
    x[7] = 1000.0
    low, high = ends(Percentile().measure(x))
    assert -1 <= low < -0.99
    assert 0.99 < high <= 1


def test_almost_only_zeros_keep_their_whole_range():
    x = np.zeros((1000, 2), "float32")
    x[3, 0] = -2.0
    low, high = ends(Percentile(99).measure(x, (0,)))
    assert (low.tolist(), high.tolist()) == ([-2.0, 0.0], [0.0, 0.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_not_clipped_away(bad):
    x = np.ones((100, 2), "float32")
    x[5, 1] = bad
    low, high = ends(Percentile(90).measure(x, (0,)))
    assert np.isnan([low[1], high[1]]).all()
    assert high[0] == 1


def test_low_precision_is_measured_in_float32(rng):
    x = ops.cast(rng.normal(size=100), "bfloat16")
    low, high = Percentile(90).measure(x)
    assert keras.backend.standardize_dtype(low.dtype) == keras.backend.standardize_dtype(high.dtype) == "float32"


def test_batches_are_averaged():
    kept = (np.float32(-1.0), np.float32(2.0), np.float32(-3.0), np.float32(6.0), 5)
    for one, other in zip(Percentile(decay=0.5).merge(*kept), MovingAverage(0.5).merge(*kept), strict=True):
        assert float(one) == float(other) != 6.0


def test_clipped_kernel_values_get_no_gradient_and_the_others_do():
    scheme = Scheme(8, granularity=PerChannel(-1), narrow=True, observer=Percentile(75))
    layer = keras.layers.Dense(2, use_bias=False)
    wrapper = QuantizedLayer(layer, scheme, 8, Placement(outputs=()), phase="quantize")
    model = keras.Sequential([keras.Input((5,)), wrapper])
    before = np.array([[0.1, 1], [0.2, 1], [0.3, 1], [0.4, 1], [9.0, 1]], "float32")
    layer.kernel.assign(before)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.fit(np.ones((4, 5), "float32"), np.zeros((4, 2)), batch_size=4, verbose=0)
    moved = ops.convert_to_numpy(layer.kernel) != before
    assert moved[:, 0].tolist() == [True, True, True, True, False]
    assert moved[:, 1].all()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_kernels_and_activations_of_a_fit_are_clipped(jit_compile, rng):
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("torch has no XLA")
    model = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Conv2D(4, 3, name="c")])
    weights = Scheme(8, granularity=PerChannel(), narrow=True, observer=Percentile(90))
    q = quantize(model, weights, Scheme(8, symmetric=False, observer="percentile"))
    q.compile("sgd", "mse", jit_compile=jit_compile)
    x = rng.normal(size=(24, 8, 8, 2)).astype("float32")
    x[0, 0, 0, 0] = 500.0
    layer = q.get_layer("c")
    layer.quantization_phase = "quantize"
    q.fit(
        x, np.zeros((24, 6, 6, 4)), batch_size=10, shuffle=False, verbose=0
    )  # 24 = 10 + 10 + 4: the batch is no constant
    measured = [float(ops.convert_to_numpy(end)) for end in layer.ranges["input_0"]]
    expected, observer = (0.0, 0.0), Percentile()
    for batch, rows in enumerate((x[:10], x[10:20], x[20:])):
        expected = observer.merge(*expected, *np.percentile(rows, [0.01, 99.99]), batch)
    np.testing.assert_allclose(measured, [float(end) for end in expected], rtol=1e-3)
    rounded = ops.convert_to_numpy(layer.weights_scheme.quantize_kernel(layer.layer.kernel.value, (3,)))
    assert (np.abs(rounded).max((0, 1, 2)) < np.abs(ops.convert_to_numpy(layer.layer.kernel)).max((0, 1, 2))).all()


@pytest.mark.parametrize(
    ("arguments", "match"), [({"percentile": 50}, "percentile must"), ({"decay": 1}, "decay must")]
)
def test_settings_outside_their_interval_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        Percentile(**arguments)


def test_it_has_a_string_id_and_returns_from_its_config():
    assert Scheme(observer="percentile").observer == Percentile(99.99)
    observer = Percentile(99, 0.5)
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(observer)) == observer
    assert not Percentile.covers
    assert MinMax.covers
