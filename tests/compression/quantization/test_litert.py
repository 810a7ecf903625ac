"""The door to TensorFlow: the private name it needs, the terminal it restores, the signature it writes."""

import os

import keras
import numpy as np
import pytest

from keras_arch.compression import calibrate, quantize

if keras.backend.backend() != "tensorflow":
    pytest.skip("LiteRT needs the TensorFlow backend", allow_module_level=True)

from keras_arch.compression.quantization import litert


@pytest.fixture(scope="module")
def two_inputs():
    """(model, LiteRT bytes, samples): two inputs of different sizes, two outputs."""
    keras.utils.set_random_seed(0)
    a, b = keras.Input((3,), name="zebra"), keras.Input((2,), name="ant")
    x = keras.layers.Concatenate(name="cat")([a, b])
    outputs = [keras.layers.Dense(4, name="four")(x), keras.layers.ReLU(name="end")(keras.layers.Dense(2)(x))]
    generator = np.random.default_rng(0)
    samples = [generator.normal(size=(20, size)).astype("float32") for size in (3, 2)]
    q = calibrate(quantize(keras.Model([a, b], outputs)), samples)
    return q, litert.convert(q), samples


def test_inputs_and_outputs_keep_their_order(two_inputs):
    q, content, samples = two_inputs
    file = litert.examine(q, content, samples, "model.tflite")
    assert [(gap.name, gap.max_steps <= 1.001) for gap in file.outputs] == [("four", True), ("end", True)]
    assert file.samples == 20


def test_the_interpreter_still_lists_its_operations(two_inputs):
    names = [operation["op_name"] for operation in litert._operations(litert._interpreter(two_inputs[1]))]
    assert "FULLY_CONNECTED" in names
    assert "CONCATENATION" in names


def test_tensorflows_own_interpreter_gives_the_same(two_inputs, monkeypatch):
    q, content, samples = two_inputs
    expected = litert.examine(q, content, samples, "")
    monkeypatch.setattr(litert.optional, "available", lambda package: False)
    assert litert.examine(q, content, samples, "").outputs == expected.outputs


def test_the_terminal_returns_after_a_failure(capfd):
    said = []

    def fail():
        with litert._captured_output() as file:
            said.append(file)
            print("from Python")
            os.write(2, b"from C++")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    print("after")
    os.write(1, b"wards")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("after\nwards", "")
    assert said[0].closed


def test_gaps_are_counted_in_steps():
    expected, got = np.float32([[0.0, 1.0, 2.0], [1.0, 0.0, 0.0]]), np.float32([[0.5, 1.0, 2.0], [0.0, 1.5, 0.0]])
    gap = litert._gap(("y", 0.5), expected, got)
    assert (gap.step, gap.max_steps, gap.mean_steps, gap.argmax_agreement) == (0.5, 3.0, 1.0, 0.5)
    assert litert._gap(("y", None), expected, got).step == pytest.approx(2 / 255)
