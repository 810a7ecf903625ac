"""ONNX files against an onnxruntime session run here: integer kernels, exact scales, what is refused before."""

import os
import sys

import keras
import numpy as np
import pytest

from keras_arch.compression import calibrate, export_onnx, quantize

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs the TensorFlow backend")
L = keras.layers


@pytest.fixture
def onnx():
    for package in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra keras-arch[onnx]")
    return pytest.importorskip("onnx", reason="needs the extra keras-arch[onnx]")


def net():
    inputs = x = keras.Input((6, 6, 2), name="image")
    x = L.ReLU()(L.BatchNormalization(name="b")(L.Conv2D(4, 3, use_bias=False, name="c")(x)))
    x = L.DepthwiseConv2D(3, activation="relu", name="dw")(x)
    return keras.Model(inputs, L.Dense(3, name="logits")(L.Flatten()(x)))


def images(count=40):
    return np.random.default_rng(0).normal(size=(count, 6, 6, 2)).astype("float32")


@pytest.mark.parametrize("weights", [8, 4])
def test_the_file_computes_what_keras_does(onnx, weights, tmp_path):
    import onnxruntime

    keras.utils.set_random_seed(0)
    q = calibrate(quantize(net(), weights=weights), images())
    path = tmp_path / "model.onnx"
    report = export_onnx(q, path, images())
    expected = q.predict(images(), verbose=0)
    settings = onnxruntime.SessionOptions()
    # As the file says, node by node: onnxruntime's own integer kernels round biases too.
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    got = np.concatenate([session.run(None, {"x0": row[None]})[0] for row in images()])
    (gap,) = report.file.outputs
    assert np.abs(got - expected).max() <= 1.001 * gap.step
    assert (np.abs(got - expected) > 0.5 * gap.step).mean() < 0.02
    assert report.gap_steps <= 1.001
    assert report.argmax_agreement == 1.0
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_kernels_are_int8_and_roundings_are_pairs(onnx, tmp_path):
    keras.utils.set_random_seed(0)
    q = calibrate(quantize(net()), images())
    report = export_onnx(q, tmp_path / "model.onnx", images(), batch_size=8)
    graph = onnx.load(str(tmp_path / "model.onnx")).graph
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.initializer}
    made = {output: node for node in graph.node for output in node.output}
    kernels = [made[node.input[1]] for node in graph.node if node.op_type in ("Conv", "MatMul", "Gemm")]
    assert [node.op_type for node in kernels] == ["DequantizeLinear"] * 3
    integers = [constants[node.input[0]] for node in kernels]
    assert {array.dtype.name for array in integers} == {"int8"}
    assert [constants[node.input[1]].shape for node in kernels] == [(4,), (4,), ()]
    layer = q.get_layer("logits")
    rounded = layer.weights_scheme.quantize_kernel(layer.kernels[0].value, layer.kernel_axes[0])
    np.testing.assert_allclose(integers[2] * constants[kernels[2].input[1]], rounded, rtol=1e-5, atol=1e-7)
    assert report.file.kernel_types == {"int8": 3}
    assert report.file.activation_types == {"uint8": sum(node.op_type == "QuantizeLinear" for node in graph.node)}
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_value == report.file.batch_size == 8
    float_kernels = [array for array in constants.values() if array.dtype == np.float32 and array.size >= 64]
    assert not float_kernels


def test_inputs_and_outputs_keep_their_order(onnx, tmp_path):
    a, b = keras.Input((3,), name="zebra"), keras.Input((2,), name="ant")
    x = L.Concatenate()([a, b])
    outputs = {"z": L.Dense(4, name="four")(x), "a": L.Dense(2, name="two")(x), "m": L.Dense(2, name="again")(x)}
    generator = np.random.default_rng(0)
    x = {name: generator.normal(size=(20, size)).astype("float32") for name, size in (("zebra", 3), ("ant", 2))}
    q = calibrate(quantize(keras.Model({"zebra": a, "ant": b}, outputs)), x)
    report = export_onnx(q, tmp_path / "model.onnx", x)
    assert sorted((gap.name, gap.max_steps <= 1.001) for gap in report.file.outputs) == [
        ("again", True),
        ("four", True),
        ("two", True),
    ]


def test_what_was_excluded_stays_float(onnx, tmp_path):
    q = calibrate(quantize(net(), exclude=["dw"]), images())
    report = export_onnx(q, tmp_path / "model.onnx", images())
    assert report.file.kernel_types == {"int8": 2, "float32": 1}


def test_a_recurrent_layer_is_exported_without_its_loop(onnx, tmp_path):
    def q(**settings):
        keras.utils.set_random_seed(0)
        return calibrate(quantize(keras.Sequential([keras.Input((5, 3)), L.LSTM(4, **settings), L.Dense(2)])), x)

    x = np.random.default_rng(0).normal(size=(10, 5, 3)).astype("float32")
    with pytest.raises(RuntimeError, match="holds a loop"):
        export_onnx(q(), tmp_path / "model.onnx", x)
    assert not os.listdir(tmp_path)
    assert export_onnx(q(unroll=True), tmp_path / "model.onnx", x).gap_steps <= 1.001


def test_gelu_is_exported(onnx, tmp_path):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(30, 6)).astype("float32")
    q = calibrate(quantize(keras.Sequential([keras.Input((6,)), L.Dense(8, activation="gelu"), L.Dense(3)])), x)
    assert export_onnx(q, tmp_path / "model.onnx", x).gap_steps <= 1.001


def test_what_has_no_onnx_form_is_refused_before(tmp_path):
    def small(**bits):
        return quantize(keras.Sequential([keras.Input((4,)), L.Dense(3, name="d")]), **bits)

    path, x = tmp_path / "m.onnx", np.ones((2, 4))
    with pytest.raises(ValueError, match="must be trained for integers before it is exported"):
        export_onnx(small(), path, x)
    with pytest.raises(
        ValueError, match="must have 8 bits and the full grid for ONNX; those of layer 'd' have 16 bits"
    ):
        export_onnx(calibrate(small(activations=16), x), path, x)
    with pytest.raises(ValueError, match=r"Call q = keras_arch.compression.quantize\(model\) first"):
        export_onnx(keras.Sequential([keras.Input((4,)), L.Dense(3)]), path, x)
    assert not os.listdir(tmp_path)


def test_without_its_packages_the_extra_is_named(monkeypatch, tmp_path):
    x = np.ones((2, 4))
    q = calibrate(quantize(keras.Sequential([keras.Input((4,)), L.Dense(3)])), x)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'keras-arch\[onnx\]'"):
        export_onnx(q, tmp_path / "m.onnx", x)
    assert not os.listdir(tmp_path)
