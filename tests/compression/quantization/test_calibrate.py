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
