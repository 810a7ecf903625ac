"""Post-training ranges, and what samples may be."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.compression import Scheme, calibrate, quantize
from keras_arch.compression.quantization.calibrate import as_samples

pytestmark = pytest.mark.backend


def prepared(activations=8):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="d")])
    return model, quantize(model, activations=activations)


def test_ranges_equal_those_of_the_float_model(rng):
    model, q = prepared(Scheme(8, symmetric=False, observer="min_max"))
    x = rng.normal(size=(70, 3)).astype("float32")
    calibrate(q, x, batch_size=32)
    layer, y = q.get_layer("d"), model.predict(x, verbose=0)
    got = [float(ops.convert_to_numpy(end)) for name in ("input_0", "output_0") for end in layer.ranges[name]]
    np.testing.assert_allclose(got, [x.min(), x.max(), y.min(), y.max()], rtol=1e-5)
    assert layer.quantization_phase == "frozen"
    step = (y.max() - y.min()) / 255
    assert np.abs(q.predict(x, verbose=0) - y).max() < 4 * step


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        (np.zeros((0, 3)), "must hold at least one sample"),
        (np.zeros((4, 2)), r"must have the shape \(N, 3\)"),
        (np.zeros(3), r"must have the shape \(N, 3\)"),
        (np.float32(1.0), "must hold at least one sample"),
        (np.full((2, 3), np.nan), "must be finite"),
        (np.full((2, 3), np.inf), "must be finite"),
        (np.full((2, 3), 1e39), "must be finite"),
        (np.full((2, 3), "x"), "must be numbers"),
        ({"image": np.zeros((2, 3))}, "must have the keys"),
    ],
)
def test_unsuitable_samples_are_refused_and_the_phase_stays(samples, match):
    _, q = prepared()
    with pytest.raises(ValueError, match=match):
        calibrate(q, samples)
    assert q.get_layer("d").quantization_phase == "observe"


def test_several_inputs_come_as_a_list_or_by_name():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    model = keras.Model([a, b], keras.layers.Concatenate()([a, b]))
    one, two = np.ones((4, 2)), np.zeros((4, 3))
    for samples in ([one, two], {"b": two, "a": one}):
        arrays, count = as_samples(model, samples)
        assert count == 4
        assert [array.shape for array in arrays] == [(4, 2), (4, 3)]
    with pytest.raises(ValueError, match="must be 2 arrays"):
        as_samples(model, [one])
    with pytest.raises(ValueError, match="as many for each input"):
        as_samples(model, [one, two[:3]])


def test_inputs_by_name_are_told_apart_whatever_their_order():
    inputs = {"zebra": keras.Input((3,), name="zebra"), "ant": keras.Input((2,), name="ant")}
    model = keras.Model(inputs, keras.layers.Concatenate()([inputs["zebra"], inputs["ant"]]))
    given = {"zebra": np.ones((4, 3)), "ant": np.zeros((4, 2))}
    arrays, count = as_samples(model, given)
    assert count == 4
    packed = keras.tree.pack_sequence_as(model.input, arrays)
    for name, array in given.items():
        np.testing.assert_array_equal(packed[name], array)


def ranges_of(q):
    return {name: [float(ops.convert_to_numpy(end)) for end in ends] for name, ends in q.get_layer("d").ranges.items()}


def test_every_batch_counts_alike_in_any_order(rng):
    x = rng.normal(size=(6, 8, 3)).astype("float32") * rng.uniform(0.2, 5, (6, 1, 1)).astype("float32")
    found = []
    for order in (np.arange(6), rng.permutation(6), np.arange(6)[::-1]):
        model, q = prepared()
        found.append(ranges_of(calibrate(q, x[order].reshape(-1, 3), batch_size=8)))
        expected = [[x.min(axis=(1, 2)).mean(), x.max(axis=(1, 2)).mean()]]
        y = model.predict(x.reshape(-1, 3), verbose=0).reshape(6, 8, 4)
        expected.append([y.min(axis=(1, 2)).mean(), y.max(axis=(1, 2)).mean()])
        np.testing.assert_allclose([found[-1]["input_0"], found[-1]["output_0"]], expected, rtol=1e-5)
        keras.utils.set_random_seed(0)


def test_samples_are_split_evenly_so_that_no_small_batch_counts_as_much_as_a_large_one(rng):
    x = rng.normal(size=(33, 3)).astype("float32")
    _, q = prepared()
    calibrate(q, x, batch_size=32)
    halves = np.array_split(x, 2)
    expected = [np.mean([part.min() for part in halves]), np.mean([part.max() for part in halves])]
    np.testing.assert_allclose(ranges_of(q)["input_0"], expected, rtol=1e-5)
    assert int(q.get_layer("d").batches) == 2


def test_ranges_are_those_of_the_samples_whatever_was_seen_before(rng):
    x = rng.normal(size=(20, 3)).astype("float32")
    for activations in (8, Scheme(8, symmetric=False, observer="min_max")):
        _, q = prepared(activations)
        once = ranges_of(calibrate(q, x))
        calibrate(q, 100 * x)
        assert ranges_of(calibrate(q, x)) == once


def test_ranges_come_back_when_the_samples_overflow(rng):
    x = rng.normal(size=(20, 3)).astype("float32")
    _, q = prepared()
    once = ranges_of(calibrate(q, x))
    q.get_layer("d").layer.kernel.assign(np.full((3, 4), 1e38))
    with pytest.raises(ValueError, match="activations must be finite"):
        calibrate(q, 100 + x)
    assert ranges_of(q) == once
    assert q.get_layer("d").quantization_phase == "frozen"
