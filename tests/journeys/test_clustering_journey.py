"""From a trained digits network to one with 16 values a kernel, half of them zeros, that any Keras can load."""

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
         values=[len(np.unique(w)) for w in model.get_weights() if w.ndim >= 2])
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
def test_digits_keep_their_accuracy_at_16_values_pruned_too_and_load_without_keras_arch(digits, tmp_path):
    (x, y), (x_test, y_test) = digits
    model = digits_network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss)
    model.fit(x, y, batch_size=32, epochs=10, verbose=0)
    float_accuracy, before = accuracy(model, x_test, y_test), compression.clustering_report(model)
    weights = model.get_weights()
    assert float_accuracy >= 0.97

    model.compile(keras.optimizers.Adam(2e-4), loss)
    clustering = keras_arch.callbacks.Clustering(clusters=16)
    model.fit(x, y, batch_size=32, epochs=3, verbose=0, callbacks=[clustering])
    report = clustering.report()
    assert [row.values for row in report.layers] == [16] * 4
    assert accuracy(model, x_test, y_test) >= float_accuracy - 0.02
    assert report.bytes_gzip < 0.25 * before.bytes_gzip
    assert report.bytes_coded < 0.15 * report.bytes_raw

    # Three values cost accuracy if the weights are only rounded, and training brings it back.
    model.set_weights(weights)
    rounded = accuracy_of_rounded(model, x_test, y_test, clusters=3)
    model.set_weights(weights)
    model.compile(keras.optimizers.Adam(5e-4), loss)
    model.fit(x, y, batch_size=32, epochs=5, verbose=0, callbacks=[keras_arch.callbacks.Clustering(clusters=3)])
    assert accuracy(model, x_test, y_test) >= max(rounded + 0.01, float_accuracy - 0.04)

    model.set_weights(weights)
    compression.prune(model, 0.5)
    model.compile(keras.optimizers.Adam(5e-4), loss)
    sparse = keras_arch.callbacks.Clustering(clusters=16, preserve_zeros=True)
    model.fit(x, y, batch_size=32, epochs=4, verbose=0, callbacks=[sparse])
    assert compression.sparsity_report(model).sparsity == pytest.approx(0.5, abs=0.001)
    assert sparse.report().bytes_gzip < report.bytes_gzip
    assert accuracy(model, x_test, y_test) >= float_accuracy - 0.03

    path, results, images = tmp_path / "model.keras", tmp_path / "results.npz", tmp_path / "images.npy"
    model.save(path)
    np.save(images, x_test)
    command = [sys.executable, "-c", FRESH, str(path), str(results), str(images)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = np.load(results)
    assert found["values"].tolist() == [16] * 4
    np.testing.assert_allclose(found["outputs"], model.predict(x_test, verbose=0), atol=1e-5)


def accuracy_of_rounded(model, x, y, clusters):
    compression.cluster(model, clusters)
    return accuracy(model, x, y)
