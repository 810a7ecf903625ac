"""The door to TensorFlow: the order of inputs and outputs, the interpreters, calls of a fixed size."""

import keras
import numpy as np
import pytest

from keras_arch.compression import calibrate, quantize
from keras_arch.compression.quantization.examine import examine
from keras_arch.compression.quantization.modes import mode_of

if keras.backend.backend() != "tensorflow":
    pytest.skip("LiteRT needs the TensorFlow backend", allow_module_level=True)

from keras_arch.compression.quantization import litert


@pytest.fixture(scope="module")
def two_inputs():
    """(model, LiteRT bytes, samples, mode): two inputs of different sizes, two outputs."""
    keras.utils.set_random_seed(0)
    a, b = keras.Input((3,), name="zebra"), keras.Input((2,), name="ant")
    x = keras.layers.Concatenate(name="cat")([a, b])
    outputs = [keras.layers.Dense(4, name="four")(x), keras.layers.ReLU(name="end")(keras.layers.Dense(2)(x))]
    generator = np.random.default_rng(0)
    samples = [generator.normal(size=(20, size)).astype("float32") for size in (3, 2)]
    q = calibrate(quantize(keras.Model([a, b], outputs)), samples)
    mode = mode_of(q, None)
    return q, litert.convert(q, mode), samples, mode


def test_inputs_and_outputs_keep_their_order(two_inputs):
    q, content, samples, mode = two_inputs
    file = examine(q, content, samples, "model.tflite", mode)
    assert [(gap.name, gap.max_steps <= 1.001) for gap in file.outputs] == [("four", True), ("end", True)]
    assert file.samples == 20
    assert litert.inputs_of(content) == {"x0": ((1, 3), np.dtype("float32")), "x1": ((1, 2), np.dtype("float32"))}


def test_tensorflows_own_interpreter_gives_the_same(two_inputs, monkeypatch):
    q, content, samples, mode = two_inputs
    expected = examine(q, content, samples, "", mode)
    monkeypatch.setattr(litert.optional, "available", lambda package: False)
    assert examine(q, content, samples, "", mode).outputs == expected.outputs


def test_calls_of_several_samples_give_the_same(two_inputs):
    q, content, samples, mode = two_inputs
    given = {"x0": samples[0], "x1": samples[1]}
    several = litert.convert(q, mode, batch_size=8)
    times = []
    got = litert.run_file(several, given, times)
    assert litert.inputs_of(several)["x0"][0] == (8, 3)
    assert len(times) == 3  # 8, 8 and the last 4, filled up
    for name, values in litert.run_file(content, given).items():
        np.testing.assert_array_equal(got[name], values)
