"""All cells, and attention, in unrolled RNNs, exported to LiteRT and run by its interpreter, against Keras.

Not unrolled, Keras's loop over time exports with tensor lists, which need LiteRT's TensorFlow delegate, for any cell.
"""

import keras
import numpy as np
import pytest
from conformance.layer_cases import CELLS

from keras_arch import layers

if keras.backend.backend() != "tensorflow":
    pytest.skip("LiteRT is written by TensorFlow", allow_module_level=True)

LENGTH, FEATURES = 5, 4
interpreters = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra keras-arch[test]")


def cell(name):
    arguments = CELLS[name][0]["init_kwargs"]
    return getattr(layers, name)(**(arguments() if callable(arguments) else arguments))


# What the converter says of its own deprecated parts is none of ours.
@pytest.mark.filterwarnings(r"ignore::Warning:(tensorflow|keras)\.")
def test_exported_cells_compute_what_keras_computes(tmp_path, rng):
    keras.utils.set_random_seed(1)
    names = sorted(set(CELLS) - {"AttentionCell"})
    assert len(names) >= 10
    inputs, memory = keras.Input((LENGTH, FEATURES), batch_size=1), keras.Input((3, 2), batch_size=1)
    outputs = [keras.layers.RNN(cell(name), return_sequences=True, unroll=True)(inputs) for name in names]
    attending = layers.AttentionCell(keras.layers.GRUCell(3), 2, "normed_bahdanau")
    outputs.extend(layers.AttentionRNN(attending, True, unroll=True, return_attention_scores=True)(inputs, memory))
    model = keras.Model([inputs, memory], outputs)
    x = [rng.normal(size=tuple(tensor.shape)).astype("float32") for tensor in model.inputs]
    path = str(tmp_path / "cells.tflite")
    model.export(path, format="litert", verbose=False)
    runner = interpreters.Interpreter(path).get_signature_runner()
    by_shape = {array.shape: array for array in x}
    details = runner.get_input_details()
    got = runner(**{name: by_shape[tuple(detail["shape"])] for name, detail in details.items()})
    expected = [keras.ops.convert_to_numpy(y) for y in model(x)]
    by_number = sorted(got.items(), key=lambda item: int(item[0].split("_")[-1]))
    for (key, value), wanted in zip(by_number, expected, strict=True):
        np.testing.assert_allclose(value, wanted, atol=1e-5, err_msg=key)
