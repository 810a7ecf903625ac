"""What LiteRT computes in float is not begun in integers."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.compression import calibrate, export_litert, quantize
from keras_arch.compression.quantization.float_islands import exporting, out_of_integers

L = keras.layers


@pytest.mark.backend
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
def test_the_product_changes_no_value(dtype, rng):
    x = (10 * rng.normal(size=(3, 4))).astype(dtype)
    got = out_of_integers(ops.convert_to_tensor(x))
    np.testing.assert_array_equal(ops.convert_to_numpy(got), x)
    assert keras.backend.standardize_dtype(got.dtype) == dtype


@pytest.mark.backend
def test_layers_are_as_before_also_after_a_failure():
    q = quantize(keras.Sequential([keras.Input((4,)), L.LayerNormalization(), L.Dense(2)]))

    def fails():
        with exporting(q):
            assert all(layer.exporting for layer in q.layers)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert not any(layer.exporting for layer in q.layers)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="LiteRT needs the TensorFlow backend")
def test_a_layer_normalization_in_the_file_is_keras(rng, tmp_path):
    x = rng.normal(size=(64, 8, 24)).astype("float32")
    model = keras.Sequential([keras.Input((8, 24)), L.Dense(24), L.LayerNormalization(beta_initializer="ones")])
    report = export_litert(calibrate(quantize(model), x), tmp_path / "m.tflite", x)
    assert report.mean_gap_steps < 0.02
    assert report.gap_steps <= 1.01
