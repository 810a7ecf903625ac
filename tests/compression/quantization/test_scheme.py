"""Schemes as values: checks, serialisation, kernels on their grids."""

import json

import keras
import numpy as np
import pytest
from keras import ops
from oracles.fake_quant import fake_quant_channels_loop, fake_quant_loop

from keras_arch.compression.quantization.observers import MinMax, MovingAverage
from keras_arch.compression.quantization.scheme import PerChannel, PerGroup, PerTensor, Scheme, as_scheme

pytestmark = pytest.mark.backend


def symmetric_bounds(kernel, axes):
    return np.abs(kernel).max(tuple(axis for axis in range(kernel.ndim) if axis not in axes))


@pytest.mark.parametrize("axes", [(), (3,), (2, 3), (1,)])
@pytest.mark.parametrize("bits", [4, 8])
def test_kernels_land_on_the_grid_of_each_channel(rng, axes, bits):
    kernel = rng.normal(0, 1, (3, 3, 4, 2)).astype("float32")
    got = ops.convert_to_numpy(Scheme.for_weights(bits).quantize_kernel(kernel, axes))
    bound = symmetric_bounds(kernel, axes)
    if not axes:
        expected = fake_quant_loop(kernel, -bound, bound, bits, True)
    else:
        last = tuple(range(-len(axes), 0))
        moved = np.moveaxis(kernel, axes, last)
        expected = np.moveaxis(fake_quant_channels_loop(moved, -bound, bound, bits, True, len(axes)), last, axes)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_zeros_of_a_pruned_kernel_stay_zero_and_a_dead_channel_is_fine(rng):
    kernel = rng.normal(0, 1, (3, 3, 4, 8)).astype("float32") * (rng.random((3, 3, 4, 8)) < 0.3)
    kernel[..., 5] = 0
    got = ops.convert_to_numpy(Scheme.for_weights(8).quantize_kernel(kernel, (3,)))
    assert np.isfinite(got).all()
    assert not got[kernel == 0].any()


def test_what_is_all_zeros_takes_the_step_of_the_widest_channel_or_of_one():
    scheme, bounds = Scheme.for_weights(8), np.array([0.0, 0.5, 2.0, 1e-8], "float32")
    np.testing.assert_allclose(scheme.step(-bounds, bounds), np.array([2.0, 0.5, 2.0, 2.0]) / 127, rtol=1e-6)
    np.testing.assert_allclose(scheme.step(np.zeros(2, "float32"), np.zeros(2, "float32")), 1 / 127, rtol=1e-6)
    np.testing.assert_allclose(scheme.step(0.0, 0.0), 1 / 127, rtol=1e-6)


@pytest.mark.parametrize(
    "scheme",
    [
        Scheme(),
        Scheme.for_weights(4),
        Scheme.for_activations(16),
        Scheme(5, False, PerChannel(-1), True, MovingAverage(0.5)),
        Scheme(4, granularity=PerGroup(16), observer="percentile"),
    ],
)
def test_schemes_return_equal_from_json(scheme):
    text = json.dumps(keras.saving.serialize_keras_object(scheme))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert again == scheme
    assert hash(again) == hash(scheme)


def test_observers_have_string_ids():
    assert Scheme(observer="moving_average").observer == MovingAverage()
    assert Scheme(observer=MinMax).observer == MinMax()
    with pytest.raises(ValueError, match="observer must be an object or one of .*'min_max'"):
        Scheme(observer="min_maxx")


@pytest.mark.parametrize("bits", [1, 9, 0, -8, 8.0, True, "8", None])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(ValueError, match="weights must be a number of bits or a Scheme"):
        as_scheme("weights", bits)
    with pytest.raises(ValueError, match="bits must be"):
        Scheme(bits)


def test_sixteen_bits_are_for_activations_only():
    assert as_scheme("activations", 16).symmetric
    with pytest.raises(ValueError, match="weights must be"):
        as_scheme("weights", 16)
    with pytest.raises(ValueError, match="weights must have 2 to 8 bits"):
        as_scheme("weights", Scheme(16))


def test_unsuitable_granularities_are_refused():
    with pytest.raises(ValueError, match="activations must be per tensor"):
        as_scheme("activations", Scheme(8, granularity=PerChannel()))
    with pytest.raises(ValueError, match="granularity must be"):
        Scheme(granularity="per_channel")
    with pytest.raises(ValueError, match="axis must be an integer"):
        PerChannel(1.5)
    assert as_scheme("activations", Scheme(8, granularity=PerTensor())).bits == 8


def test_asymmetric_and_symmetric_grids_hold_the_measured_range():
    low, high = np.float32(-0.4), np.float32(1.7)
    for scheme in (Scheme.for_activations(8), Scheme.for_activations(16), Scheme(8, symmetric=True, narrow=True)):
        first, last = (float(end) for end in scheme.grid_range(low, high))
        assert first <= low < high <= last
        assert 0 < float(scheme.step(low, high)) < 0.02


class Fixed:
    """A user's observer with the two methods only, and no axes for activations."""

    def measure(self, x):
        return np.float32(-1.0), np.float32(3.0)

    def merge(self, low, high, new_low, new_high, batches):
        return new_low, new_high


class Asking(Fixed):
    takes_scheme = True

    def measure(self, x, axes, scheme):
        return np.float32(-scheme.bits), np.float32(scheme.bits)


def test_observers_with_two_methods_work_and_others_are_given_the_scheme(rng):
    x = rng.normal(size=5).astype("float32")
    assert [float(end) for end in Scheme(observer=Fixed()).measure(x)] == [-1.0, 3.0]
    assert [float(end) for end in Scheme(5, observer=Asking()).measure(x, (0,))] == [-5.0, 5.0]
    assert [float(end) for end in Scheme(observer=MinMax()).measure(x, (0,))] == [min(x), max(x)]


@pytest.mark.parametrize("shape", [(12, 5), (3, 3, 8, 2)])
@pytest.mark.parametrize("bits", [3, 8])
def test_groups_of_inputs_land_on_grids_of_their_own(shape, bits, rng):
    kernel = (rng.normal(size=shape) * rng.uniform(0.1, 9, (*shape[-2:],))).astype("float32")
    scheme = Scheme(bits, narrow=True, granularity=PerGroup(4))
    got = ops.convert_to_numpy(scheme.quantize_kernel(kernel))
    for start in range(0, shape[-2], 4):
        for column in range(shape[-1]):
            group = kernel[..., start : start + 4, column]
            bound = np.abs(group).max()
            expected = fake_quant_loop(group, -bound, bound, bits, True)
            np.testing.assert_allclose(got[..., start : start + 4, column], expected, atol=1e-5)


def test_groups_of_one_input_of_a_dense_kernel_are_exact(rng):
    kernel = rng.normal(size=(6, 4)).astype("float32")
    got = Scheme(2, narrow=True, granularity=PerGroup(1)).quantize_kernel(kernel)
    np.testing.assert_allclose(ops.convert_to_numpy(got), kernel, rtol=1e-6)


def test_sizes_of_groups_are_checked():
    for size in (0, 1.5, True):
        with pytest.raises(ValueError, match="size must be an integer >= 1"):
            PerGroup(size)
    with pytest.raises(ValueError, match="activations must be per tensor"):
        as_scheme("activations", Scheme(8, granularity=PerGroup(2)))
