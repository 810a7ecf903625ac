"""From a float net to an integer file, on real digits, in plain `fit`: accuracy, file, fresh process, pruning."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_arch
from keras_arch.callbacks import Pruning, QuantizationAwareTraining

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="LiteRT needs the TensorFlow backend")


def cnn():
    layers = keras.layers
    inputs = x = keras.Input((8, 8, 1))
    for width in (16, 32):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(10)(x))


def compiled(model, rate):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """(half sparse float model, its quantized copy trained with the zeros held, folder)."""
    keras.utils.set_random_seed(0)
    (x, y), _ = digits
    model = compiled(cnn(), 1e-3)
    model.fit(x, y, batch_size=64, epochs=10, verbose=0)
    model.fit(
        x, y, batch_size=64, epochs=5, verbose=0, callbacks=[Pruning(keras_arch.compression.ConstantSchedule(0.5))]
    )
    q = compiled(keras_arch.compression.quantize(model), 1e-4)
    keep_zeros = Pruning(keras_arch.compression.ConstantSchedule(0.5))
    q.fit(x, y, batch_size=64, epochs=4, verbose=0, callbacks=[QuantizationAwareTraining(1, 3), keep_zeros])
    return model, q, tmp_path_factory.mktemp("quantization")


def accuracy(logits, labels):
    return float((logits.argmax(-1) == labels).mean())


def test_the_integer_file_is_as_good_as_the_float_model(trained, digits):
    model, q, folder = trained
    x, y = digits[1]
    report = keras_arch.compression.export_litert(q, folder / "digits.tflite", samples=x)
    floating, integer = (accuracy(m.predict(x, verbose=0), y) for m in (model, q))
    print(f"float {floating:.4f}, int8 {integer:.4f}\n{report}")
    assert floating >= 0.95
    assert integer >= floating - 0.005
    assert report.all_int8
    assert report.gap_steps <= 1.001
    assert report.argmax_agreement == 1.0
    assert report.file.samples == 450
    assert report.file.bytes < 0.45 * report.file.float_weight_bytes


def test_pruned_weights_stay_exactly_zero_in_the_rounded_kernels(trained):
    model, q, _ = trained
    rows = {row.path: row for row in keras_arch.compression.quantization.measure(q).layers if row.zeros is not None}
    assert len(rows) == 5
    for path, row in rows.items():
        kernel = model.get_layer(path).kernel.numpy()
        assert np.mean(kernel == 0) >= 0.49
        assert row.zeros >= np.mean(kernel == 0) - 1e-6, path
        rounded = q.get_layer(path).weights_scheme.quantize_kernel(kernel, q.get_layer(path).kernel_axes[0]).numpy()
        assert not rounded[kernel == 0].any()


def test_a_fresh_process_loads_the_quantized_model(trained, digits):
    _, q, folder = trained
    x = digits[1][0][:32]
    q.save(folder / "q.keras")
    np.savez(folder / "expected.npz", x=x, y=q.predict(x, verbose=0))
    script = (
        "import sys, numpy as np, keras, keras_arch\n"
        "model = keras.saving.load_model(sys.argv[1] + '/q.keras')\n"
        "data = np.load(sys.argv[1] + '/expected.npz')\n"
        "assert (model.predict(data['x'], verbose=0) == data['y']).all()\n"
        "print(model.layers[1].quantization_phase)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "frozen"
