"""The gated cells in an unrolled RNN, exported to LiteRT and run by its interpreter, against Keras.

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
NAMES = (
    "CoupledGateLSTMCell",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
    "LayerNormSimpleRNNCell",
    "PeepholeLSTMCell",
)
interpreters = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra keras-arch[test]")


# What the converter says of its own deprecated parts is none of ours.
@pytest.mark.filterwarnings(r"ignore::Warning:(tensorflow|keras)\.")
def test_exported_cells_compute_what_keras_computes(tmp_path, rng):
    inputs = keras.Input((LENGTH, FEATURES), batch_size=1)
    cells = [getattr(layers, name)(**CELLS[name][0]["init_kwargs"]) for name in NAMES]
    model = keras.Model(inputs, [keras.layers.RNN(cell, return_sequences=True, unroll=True)(inputs) for cell in cells])
    x = rng.normal(size=(1, LENGTH, FEATURES)).astype("float32")
    path = str(tmp_path / "cells.tflite")
    model.export(path, format="litert", verbose=False)
    runner = interpreters.Interpreter(path).get_signature_runner()
    (argument,) = runner.get_input_details()
    got = runner(**{argument: x})
    expected = [keras.ops.convert_to_numpy(y) for y in model(x)]
    assert len(got) == len(expected)
    for (key, value), wanted in zip(
        sorted(got.items(), key=lambda item: int(item[0].split("_")[-1])), expected, strict=True
    ):
        np.testing.assert_allclose(value, wanted, atol=1e-5, err_msg=key)
