"""Exported files: what is refused before, what a failure leaves, and the report against an interpreter run here."""

import gzip
import os

import keras
import numpy as np
import pytest

from keras_arch.compression import PerGroup, Scheme, calibrate, export_litert, quantize

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="LiteRT needs the TensorFlow backend")
L = keras.layers


def net(outputs=lambda x: L.Dense(3, name="logits")(x)):
    inputs = keras.Input((6, 6, 1), name="image")
    x = L.ReLU(name="r")(L.BatchNormalization(name="b")(L.Conv2D(4, 3, use_bias=False, name="c")(inputs)))
    return keras.Model(inputs, outputs(L.Flatten(name="f")(x)))


def images(count=40):
    return np.random.default_rng(0).normal(size=(count, 6, 6, 1)).astype("float32")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(quantized model, path, report) of one export that several tests look at."""
    keras.utils.set_random_seed(0)
    q = calibrate(quantize(net()), images())
    path = tmp_path_factory.mktemp("export") / "model.tflite"
    return q, path, export_litert(q, path, images())


def run(path, x):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for row in x:
        interpreter.set_tensor(taken["index"], row[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(given["index"])[0])
    return np.stack(rows), interpreter


def test_the_report_equals_what_an_interpreter_shows(exported):
    q, path, report = exported
    got, interpreter = run(path, images())
    expected = q.predict(images(), verbose=0)
    (scale,) = {
        tensor["quantization"][0]
        for tensor in interpreter.get_tensor_details()
        if tensor["dtype"] == np.int8 and tuple(tensor["shape"]) == (1, 3) and tensor["quantization"][0]
    }
    (gap,) = report.file.outputs
    np.testing.assert_allclose(gap.step, scale, rtol=1e-5)
    np.testing.assert_allclose(report.gap_steps, np.abs(got - expected).max() / scale, rtol=1e-4)
    np.testing.assert_allclose(report.mean_gap_steps, np.abs(got - expected).mean() / scale, rtol=1e-4)
    assert report.argmax_agreement == (got.argmax(1) == expected.argmax(1)).mean()
    assert report.gap_steps <= 1.001


def test_the_file_is_all_integer_at_batch_one(exported):
    _, path, report = exported
    _, interpreter = run(path, images(1))
    assert report.all_int8
    assert report.int8_kernels == 1.0
    assert report.file.kernel_types == {"int8": 2}
    types = {tensor["dtype"].__name__ for tensor in interpreter.get_tensor_details()}
    floats = [tensor for tensor in interpreter.get_tensor_details() if tensor["dtype"] is np.float32]
    assert types == {"int8", "int32", "float32"}
    assert {tuple(tensor["shape"]) for tensor in floats} == {(1, 6, 6, 1), (1, 3)}


def test_sizes_and_rows_are_those_of_the_file_and_the_model(exported):
    _, path, report = exported
    content = path.read_bytes()
    assert report.file.bytes == len(content)
    assert report.file.bytes_gzipped == len(gzip.compress(content, 9))
    assert report.file.float_weight_bytes == 4 * (9 * 4 + 4 * 4 + 64 * 3 + 3)
    assert report.file.latency_ms > 0
    assert [row.path for row in report.layers] == ["c", "r", "logits"]
    assert sorted(os.listdir(path.parent)) == ["model.tflite"]


def test_a_saved_model_keeps_the_rounding(exported, tmp_path):
    q, _, _ = exported
    q.export(tmp_path / "saved_model", format="tf_saved_model", verbose=False)
    served = keras.layers.TFSMLayer(tmp_path / "saved_model", call_endpoint="serve")
    np.testing.assert_array_equal(served(images()), q.predict(images(), verbose=0))


def test_float_weights_are_counted_in_models_inside_too(tmp_path):
    inner = keras.Sequential([keras.Input((6, 6, 1)), L.Conv2D(4, 3), L.Flatten()], name="inner")
    model = keras.Sequential([keras.Input((6, 6, 1)), inner, L.Dense(3)])
    report = export_litert(calibrate(quantize(model), images()), tmp_path / "model.tflite", images())
    assert report.file.float_weight_bytes == 4 * model.count_params()


def test_nothing_reaches_the_terminal(capfd, tmp_path):
    keras.utils.set_random_seed(0)
    q = calibrate(quantize(keras.Sequential([keras.Input((4,)), L.Dense(3)])), np.ones((2, 4)))
    capfd.readouterr()
    export_litert(q, tmp_path / "m.tflite", np.ones((2, 4)))
    assert capfd.readouterr() == ("", "")


def test_a_failed_export_keeps_the_file_that_was_there(tmp_path):
    q = calibrate(quantize(net(lambda x: L.Dense(3)(keras.ops.sin(x)))), images())
    path = tmp_path / "model.tflite"
    path.write_bytes(b"before")
    with pytest.raises(
        RuntimeError, match="not all integer, so it was not written: LiteRT has no integer form of SIN at"
    ):
        export_litert(q, path, images())
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_what_was_excluded_is_listed_with_its_reason(tmp_path):
    def heads(x):
        x = L.BatchNormalization(name="lone", beta_initializer="ones")(L.Dense(8, name="h")(x))
        return {"left": L.Dense(2, name="left", activation="softmax")(x), "right": L.Dense(3, name="right")(x)}

    q = calibrate(quantize(net(heads), exclude=["lone"]), images())
    report = export_litert(q, tmp_path / "model.tflite", images())
    assert {operation.reason for operation in report.file.float_ops} == {"layer 'lone': it was left in float"}
    assert not report.all_int8
    assert report.int8_kernels == 1.0
    assert [gap.name for gap in report.file.outputs] == ["left", "right"]
    assert report.file.outputs[0].step == pytest.approx(1 / 256)
    assert report.gap_steps <= 2.001


def test_four_bit_kernels_are_exported(tmp_path):
    q = calibrate(
        quantize(keras.Sequential([keras.Input((6, 6, 1)), L.Conv2D(4, 3), L.Flatten()]), weights=4), images()
    )
    report = export_litert(q, tmp_path / "model.tflite", images())
    assert (report.file.mode, report.file.kernel_types) == ("w4a8", {"int4": 1})
    assert set(report.file.activation_types) == {"int8"}
    assert report.gap_steps <= 1.001


def test_sixteen_bit_activations_are_exported(tmp_path):
    keras.utils.set_random_seed(0)
    q = calibrate(quantize(net(), activations=16), images())
    report = export_litert(q, tmp_path / "model.tflite", images())
    assert (report.file.mode, report.file.kernel_types) == ("w8a16", {"int8": 2})
    assert set(report.file.activation_types) == {"int16"}
    assert report.gap_steps <= 4  # 1/64 of a step of 8 bits
    assert report.argmax_agreement == 1.0


@pytest.mark.parametrize(("mode", "kind", "gap"), [("float32", "float32", 1e-6), ("float16", "float16", 2e-3)])
def test_float_models_are_exported_in_the_mode_asked_for(mode, kind, gap, tmp_path):
    keras.utils.set_random_seed(0)
    report = export_litert(net(), tmp_path / "model.tflite", images(), mode=mode, batch_size=16)
    file = report.file
    assert (file.mode, file.kernel_types, file.batch_size) == (mode, {kind: 2}, 16)
    assert set(file.activation_types) == {"float32"}
    assert file.outputs[0].relative_difference < gap
    assert (report.layers, file.float_ops, file.samples) == ((), (), 40)
    assert f"mode      {mode}" in str(report)


def test_dynamic_range_rounds_the_large_kernels_only(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), L.Dense(32, activation="relu"), L.Dense(3)])
    x = np.random.default_rng(0).normal(size=(20, 64)).astype("float32")
    report = export_litert(model, tmp_path / "model.tflite", x, mode="dynamic")
    assert report.file.kernel_types == {"int8": 1, "float32": 1}
    assert set(report.file.activation_types) == {"float32"}
    assert 1e-4 < report.file.outputs[0].relative_difference < 0.05
    with pytest.raises(RuntimeError, match="no kernel has the 1024 values"):
        export_litert(net(), tmp_path / "small.tflite", images(), mode="dynamic")
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_a_fixed_batch_is_that_of_the_file(tmp_path):
    q = calibrate(quantize(net()), images())
    report = export_litert(q, tmp_path / "model.tflite", images(), batch_size=7)
    one = export_litert(q, tmp_path / "one.tflite", images())
    assert report.file.batch_size == 7
    assert report.file.outputs == one.file.outputs
    with pytest.raises(ValueError, match="batch_size must be"):
        export_litert(q, tmp_path / "none.tflite", images(), batch_size=0)


def small(phase_change=True, **bits):
    q = quantize(keras.Sequential([keras.Input((4,)), L.Dense(3, name="d")]), **bits)
    return calibrate(q, np.ones((2, 4))) if phase_change else q


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        (np.ones((0, 4)), "at least one sample"),
        (np.ones((2, 5)), r"shape \(N, 4\)"),
        (np.full((1, 4), np.nan), "finite"),
    ],
)
def test_unsuitable_samples_are_refused(samples, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        export_litert(small(), tmp_path / "m.tflite", samples)
    assert not os.listdir(tmp_path)


def test_models_that_cannot_be_exported_are_refused(tmp_path):
    path, x = tmp_path / "m.tflite", np.ones((2, 4))
    with pytest.raises(ValueError, match="must be trained for integers before it is exported"):
        export_litert(small(phase_change=False), path, x)
    with pytest.raises(ValueError, match="activations must have 8 or 16 bits to be exported; layer 'd' has 4"):
        export_litert(small(activations=4), path, x)
    with pytest.raises(ValueError, match="LiteRT has no kernels with groups"):
        export_litert(small(weights=Scheme(4, granularity=PerGroup(2))), path, x)
    with pytest.raises(ValueError, match=r"Call q = keras_arch.compression.quantize\(model\) first"):
        export_litert(keras.Sequential([keras.Input((4,)), L.Dense(1)]), path, x)
    sizes = quantize(keras.Sequential([keras.Input((None, None, 1)), L.Conv2D(2, 3, name="c")]))
    with pytest.raises(ValueError, match="must have inputs of fixed size"):
        export_litert(calibrate(sizes, images()), path, images())
    assert not os.listdir(tmp_path)


def test_paths_that_cannot_be_written_are_refused(tmp_path):
    q, x = small(), np.ones((2, 4))
    with pytest.raises(ValueError, match="path must name a file"):
        export_litert(q, tmp_path, x)
    with pytest.raises(ValueError, match="path must be in a folder that exists"):
        export_litert(q, tmp_path / "missing" / "m.tflite", x)
    # Known before the conversion, which would refuse the model.
    sizes = calibrate(quantize(keras.Sequential([keras.Input((None, 1)), L.Conv1D(2, 3)])), np.ones((2, 5, 1)))
    with pytest.raises(OSError, match="File name too long: path must be one that can be written"):
        export_litert(sizes, tmp_path / ("m" * 300), np.ones((2, 5, 1)))
