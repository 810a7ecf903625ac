"""Checks of exports: a SavedModel and a LiteRT file compute what the layer computes."""

import shutil

import keras
import numpy as np

from keras_arch.core.optional import available, require
from keras_arch.testing.layer.check import NotApplicable, check
from keras_arch.testing.layer.compare import assert_close, to_numpy
from keras_arch.testing.layer.files import predict
from keras_arch.testing.layer.subject import Subject


def needs_tensorflow() -> None:
    """Leave the running check out where Keras has another backend, with the reason."""
    if keras.backend.backend() != "tensorflow":
        raise NotApplicable("exports are checked with the TensorFlow backend of Keras")


@check(
    "`call` reads a size as a Python number, or keeps a tensor in an attribute that the export can't track.",
    tolerance=1e-5,
)
def saved_model(subject: Subject, tolerance: float) -> str:
    """A SavedModel with None sizes computes what the layer computes, at the sizes of the case and at others."""
    needs_tensorflow()
    layer = subject.make()
    model = subject.functional(layer, dynamic=True)
    layer.set_weights(subject.reference.get_weights())
    path = subject.directory / f"{subject.name}_saved_model"
    model.export(path, verbose=False)
    served = keras.layers.TFSMLayer(str(path), call_endpoint="serve")
    worst = 0.0
    for inputs in (subject.inputs, subject.other_sizes()):
        got = to_numpy(served(keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)))
        what = "outputs of the SavedModel against the model"
        flat = (keras.tree.flatten(one) for one in (got, predict(model, inputs)))
        worst = max(worst, assert_close(*flat, tolerance, what))
    shutil.rmtree(path)
    return f"error {worst:.1g}"


@check(
    "The layer uses an operation that LiteRT lacks, or that needs the Select TensorFlow ops of the full runtime.",
    tolerance=1e-4,
)
def litert(subject: Subject, tolerance: float) -> str:
    """A LiteRT file of fixed sizes, run by the LiteRT interpreter, computes what the layer computes."""
    needs_tensorflow()
    if not available("ai_edge_litert"):
        raise NotApplicable("the package ai-edge-litert is not installed")
    runtime = require("ai_edge_litert.interpreter", extra="test", purpose="Running a LiteRT file")
    model = subject.functional(subject.reference, dynamic=False)

    def spec(name: str | None, x: np.ndarray) -> keras.InputSpec:
        return keras.InputSpec(shape=x.shape, dtype=str(x.dtype), name=name)

    inputs = subject.inputs
    if isinstance(inputs, dict):
        signature = {name: spec(name, x) for name, x in inputs.items()}
    else:
        signature = keras.tree.map_structure(lambda x: spec(None, x), inputs)
    path = subject.directory / f"{subject.name}.tflite"
    model.export(path, format="litert", verbose=False, input_signature=[signature])
    interpreter = runtime.Interpreter(model_path=str(path))
    runner = interpreter.get_signature_runner()
    names = sorted(runner.get_input_details())
    if isinstance(inputs, dict):
        feed = {name: inputs[name] for name in names}
    else:
        feed = dict(zip(names, keras.tree.flatten(inputs), strict=True))
    got = runner(**feed)
    size = path.stat().st_size
    path.unlink()
    wanted = keras.tree.flatten(predict(model, inputs))
    ordered = [got[name] for name in sorted(got)]
    worst = assert_close(ordered, wanted, tolerance, "outputs of the LiteRT interpreter against the model")
    return f"error {worst:.1g}, {size} bytes"


EXPORTS = (saved_model, litert)
