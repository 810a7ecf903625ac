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


def stored_kernels(content):
    """(type, float64 values, integers) of each convolution and product, in the file's layout."""
    model, kinds = litert_contents._parsed(content), litert_contents.flatbuffer_utils
    graph, found = model.subgraphs[0], []
    for op in graph.operators:
        if kinds.opcode_to_name(model, op.opcodeIndex) in litert_contents.BIASED:
            tensor = graph.tensors[op.inputs[1]]
            raw = np.frombuffer(bytes(bytearray(model.buffers[tensor.buffer].data)), np.int8)
            if kinds.type_to_name(tensor.type) == "INT4":  # two in a byte, the low half first
                raw = np.stack([(raw << 4).astype(np.int8) >> 4, raw >> 4], axis=1).ravel()
            integers = raw[: np.prod(tensor.shape)].reshape(tensor.shape).astype(int)
            shape = [1] * integers.ndim
            shape[tensor.quantization.quantizedDimension] = -1
            scales = np.array(tensor.quantization.scale, "float64").reshape(shape)
            found.append((kinds.type_to_name(tensor.type).lower(), integers * scales, integers))
    return found


def rounded_kernels(q):
    """The kernels that Keras computes with, in the file's layout."""
    layers = [layer for layer in q.layers if getattr(layer, "kernels", None)]
    values = [
        np.asarray(one.weights_scheme.quantize_kernel(one.kernels[0].value, one.kernel_axes[0])) for one in layers
    ]
    conv, depthwise, dense = values
    return [conv.transpose(3, 0, 1, 2), depthwise.reshape(1, *depthwise.shape[:2], -1), dense.T]


# At 3 bits sums are small, and LiteRT rounds them twice: three layers add up.
@pytest.mark.parametrize(
    ("bits", "activations", "kind", "steps"),
    [(3, 8, "int4", 3), (5, 8, "int8", 1), (6, 8, "int8", 1), (7, 8, "int8", 1), (6, 16, "int8", 4)],
)
def test_kernels_of_odd_widths_lie_on_their_own_grid(bits, activations, kind, steps):
    keras.utils.set_random_seed(0)
    q = calibrate(quantize(net(), weights=bits, activations=activations), images())
    content = litert.convert(q, mode_of(q, None))
    top = 2 ** (bits - 1) - 1
    for (stored, values, integers), expected in zip(stored_kernels(content), rounded_kernels(q), strict=True):
        assert stored == kind
        assert np.abs(integers).max() == top
        np.testing.assert_allclose(values, expected, rtol=2e-7, atol=1e-9)
    outputs = litert.run_file(content, {"x0": images()})["y0"]
    step = float(q.layers[-1].activations_scheme.step(*q.layers[-1].present_range("output_0")))
    assert np.abs(outputs - q.predict(images(), verbose=0)).max() <= (steps + 0.01) * step


def test_kernels_of_several_widths_are_told_apart():
    keras.utils.set_random_seed(0)
    model = net()
    depthwise, dense = model.layers[2].name, model.layers[4].name
    q = calibrate(quantize(model, weights=6, overrides={dense: 8, depthwise: 3}), images())
    found = stored_kernels(litert.convert(q, mode_of(q, None)))
    assert [(kind, np.abs(integers).max()) for kind, _, integers in found] == [("int8", 31), ("int4", 3), ("int8", 127)]
    for (_, values, _), expected in zip(found, rounded_kernels(q), strict=True):
        np.testing.assert_allclose(values, expected, rtol=2e-7, atol=1e-9)


def test_normalizations_fold_into_kernels_of_odd_widths():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    settings = {"gamma_initializer": "random_normal", "beta_initializer": "random_normal"}
    x = L.ReLU()(L.BatchNormalization(**settings)(L.Conv2D(4, 3, use_bias=False)(inputs)))
    q = calibrate(quantize(keras.Model(inputs, L.Flatten()(x)), weights=5), images())
    content = litert.convert(q, mode_of(q, None))
    [(_, _, integers)] = stored_kernels(content)
    assert np.abs(integers).max() == 15
    (low, high), scheme = q.layers[3].present_range("output_0"), q.layers[3].activations_scheme
    gap = np.abs(litert.run_file(content, {"x0": images()})["y0"] - q.predict(images(), verbose=0)).max()
    assert gap <= 1.01 * float(scheme.step(low, high))


def test_a_kernel_on_another_grid_is_refused():
    content = converted()
    with pytest.raises(RuntimeError, match=r"kernel of CONV_2D with shape \(4, 3, 3, 2\) is not on a grid of 6 bits"):
        litert_contents.narrow_kernels(content, {72: {6}})
    assert litert_contents.narrow_kernels(content, {72: {8}}) == content
