"""What a file holds, against an interpreter where it can say so, and the repair of 16-bit biases."""

import keras
import numpy as np
import pytest

from keras_arch.compression import calibrate, quantize
from keras_arch.compression.quantization.modes import mode_of

if keras.backend.backend() != "tensorflow":
    pytest.skip("LiteRT needs the TensorFlow backend", allow_module_level=True)

from keras_arch.compression.quantization import litert, litert_contents

L = keras.layers


def net():
    inputs = keras.Input((6, 6, 2))
    x = L.Conv2D(4, 3, activation="relu", bias_initializer="random_normal")(inputs)
    x = L.DepthwiseConv2D(3, bias_initializer="random_normal")(x)
    return keras.Model(inputs, L.Dense(3, bias_initializer="random_normal")(L.Flatten()(x)))


def images():
    return np.random.default_rng(0).normal(size=(20, 6, 6, 2)).astype("float32")


def converted(**bits):
    keras.utils.set_random_seed(0)
    q = calibrate(quantize(net(), **bits), images())
    return litert.convert(q, mode_of(q, None))


@pytest.mark.parametrize(("weights", "kind"), [(8, "int8"), (4, "int4")])
def test_kernels_are_found_with_their_types(weights, kind):
    contents = litert_contents.read(converted(weights=weights))
    assert [(name, kernel.type, kernel.shape) for name, kernel in contents.kernels()] == [
        ("CONV_2D", kind, (4, 3, 3, 2)),
        ("DEPTHWISE_CONV_2D", kind, (1, 3, 3, 4)),
        ("FULLY_CONNECTED", kind, (3, 16)),
    ]


def test_tensors_are_those_that_an_interpreter_lists():
    interpreters = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra keras-arch[test]")
    content = converted()
    interpreter = interpreters.Interpreter(model_content=content)
    listed = {t["name"]: (np.dtype(t["dtype"]).name, tuple(t["shape"])) for t in interpreter.get_tensor_details()}
    main = litert_contents.read(content).main
    found = {t.name: (t.type, t.shape) for op in main for t in (*op.inputs, *op.outputs) if t is not None}
    assert found == {name: listed[name] for name in found}
    assert [op.name for op in main][0 :: len(main) - 1] == ["QUANTIZE", "DEQUANTIZE"]
    assert set(listed) == set(found)


def test_half_precision_kernels_are_seen_through_their_conversion():
    model = net()
    contents = litert_contents.read(litert.convert(model, mode_of(model, "float16")))
    assert [kernel.type for _, kernel in contents.kernels()] == ["float16"] * 3


def test_loops_have_operations_of_their_own():
    model = keras.Sequential([keras.Input((5, 3)), L.GRU(4)])
    contents = litert_contents.read(litert.convert(model, mode_of(model, "float32")))
    assert "WHILE" in {op.name for op in contents.main}
    assert [kernel.shape for _, kernel in contents.kernels()] == [(12, 3), (12, 4)] or contents.inner


def test_biases_of_sixteen_bits_are_widened_with_their_values():
    # Without it LiteRT refuses the depthwise convolution and computes the others wrongly.
    content = converted(activations=16)
    operations = [op for op in litert_contents.read(content).main if op.name in litert_contents.BIASED]
    assert [op.inputs[2].type for op in operations] == ["int64"] * 3
    assert litert_contents.widen_biases(content) == content
    narrow = converted()
    assert litert_contents.read(litert_contents.widen_biases(narrow)) == litert_contents.read(narrow)


def test_widened_biases_keep_their_values():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = L.Dense(6, bias_initializer="random_normal", name="first")(inputs)
    q = calibrate(quantize(keras.Model(inputs, L.Dense(6, name="second")(x)), activations=16), np.eye(6))
    outputs = litert.run_file(litert.convert(q, mode_of(q, None)), {"x0": np.eye(6, dtype="float32")})["y0"]
    np.testing.assert_allclose(outputs, q.predict(np.eye(6), verbose=0), atol=1e-3)


def test_a_buffer_that_biases_share_is_widened_once():
    model = litert_contents._parsed(converted(activations=16))
    kinds = litert_contents.flatbuffer_utils.schema_fb.TensorType
    biases = [tensor for tensor in model.subgraphs[0].tensors if tensor.type == kinds.INT64]
    values = np.arange(4, dtype="<i4")
    for tensor in biases:
        tensor.type, tensor.buffer = kinds.INT32, biases[0].buffer
    model.buffers[biases[0].buffer].data = values.view(np.uint8)
    narrow = bytes(litert_contents.flatbuffer_utils.convert_object_to_bytearray(model))
    widened = litert_contents._parsed(litert_contents.widen_biases(narrow))
    tensors = [tensor for tensor in widened.subgraphs[0].tensors if tensor.type == kinds.INT64]
    assert len(tensors) == len(biases) == 3
    assert {tensor.buffer for tensor in tensors} == {tensors[0].buffer}
    stored = np.asarray(widened.buffers[tensors[0].buffer].data, np.uint8)
    np.testing.assert_array_equal(np.frombuffer(stored.tobytes(), "<i8"), values)
