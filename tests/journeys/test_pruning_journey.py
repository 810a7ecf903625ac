"""From a trained digits network to one with 80 % zeros that any Keras can load."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import keras_arch.callbacks
from keras_arch import compression

FRESH = """
import sys
import keras, numpy as np
model = keras.saving.load_model(sys.argv[1])
np.savez(sys.argv[2], outputs=model.predict(np.load(sys.argv[3]), verbose=0),
         zeros=[int((w == 0).sum()) for w in model.get_weights() if w.ndim >= 2],
         stock=[type(layer).__module__.split(".")[0] == "keras" for layer in model.layers])
assert not any(name.startswith("keras_arch") for name in sys.modules)
"""


def digits_network():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )


def accuracy(model, x, y):
    return float((model.predict(x, verbose=0).argmax(axis=-1) == y).mean())


@pytest.mark.slow
def test_digits_keep_their_accuracy_at_80_percent_and_load_without_keras_arch(digits, tmp_path):
    (x, y), (x_test, y_test) = digits
    model = digits_network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss)
    model.fit(x, y, batch_size=32, epochs=10, verbose=0)
    dense = compression.sparsity_report(model)
    assert accuracy(model, x_test, y_test) >= 0.97

    model.compile(keras.optimizers.Adam(1e-3), loss)  # a new optimizer counts from 0
    steps = -(-len(x) // 32)
    schedule = compression.PolynomialSchedule(0.0, 0.8, begin_step=0, end_step=4 * steps, every=steps // 2)
    pruning = keras_arch.callbacks.Pruning(schedule, log_dir=tmp_path / "logs")
    model.fit(x, y, batch_size=32, epochs=7, verbose=0, callbacks=[pruning])
    assert accuracy(model, x_test, y_test) >= 0.965

    report = pruning.report()
    assert [layer.zeros for layer in report.layers] == [round(0.8 * layer.size) for layer in report.layers]
    assert report.bytes_raw == dense.bytes_raw
    assert report.bytes_gzip < 0.4 * dense.bytes_gzip

    path, inputs, outputs = tmp_path / "pruned.keras", tmp_path / "x.npy", tmp_path / "out.npz"
    model.save(path)
    np.save(inputs, x_test[:50])
    # An empty folder, so that the process can't see the package by accident.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", FRESH, str(path), str(outputs), str(inputs)]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    fresh = np.load(outputs)
    np.testing.assert_array_equal(fresh["outputs"], model.predict(x_test[:50], verbose=0))
    assert fresh["zeros"].tolist() == [layer.zeros for layer in report.layers]
    assert fresh["stock"].all()
