"""A CNN on handwritten digits: pruned to 80 %, 16 values a kernel, int8; the file that is left to download.

python examples/prune_cluster_quantize_digits.py
"""

import pathlib
import tempfile

import keras
from sklearn.datasets import load_digits

import keras_arch as ka


def main(epochs: int = 20, folder: str | None = None) -> dict[str, tuple[float, int]]:
    """Train, prune, quantize; return accuracy on 450 digits kept aside and bytes gzipped, by what was held."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    x, y = (digits.images / 16).astype("float32")[..., None], digits.target
    x, y, x_test, y_test = x[:1347], y[:1347], x[1347:], y[1347:]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    layers = [keras.layers.Conv2D(24, 3, padding="same", activation="relu"), keras.layers.MaxPooling2D()]
    layers += [keras.layers.Conv2D(48, 3, padding="same", activation="relu"), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers, keras.layers.Dense(10)])
    model.compile(keras.optimizers.Adam(2e-3), loss)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=2)
    dense = model.get_weights()

    steps = 22 * epochs  # 1347 digits are 22 batches of 64
    schedule = ka.compression.PolynomialSchedule(0.0, 0.8, begin_step=steps, end_step=steps + steps // 2, every=5)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=2, callbacks=[ka.callbacks.Pruning(schedule)])
    pruned = model.get_weights()

    # One scale a kernel, so that 16 values are 16 integers; by default a convolution has a scale for each channel.
    weights = ka.compression.Scheme(8, narrow=True)
    keep_zeros = ka.callbacks.Pruning(ka.compression.ConstantSchedule(0.8))
    cases = {
        "nothing": (dense, []),
        "zeros": (pruned, [keep_zeros]),
        "values": (dense, [ka.callbacks.Clustering(16)]),
        "zeros and values": (pruned, [keep_zeros, ka.callbacks.Clustering(16, preserve_zeros=True)]),
    }
    found = {}
    for name, (start, held) in cases.items():
        model.set_weights(start)
        q = ka.compression.quantize(model, weights=weights, activations=8)
        q.compile(keras.optimizers.Adam(3e-4), loss, metrics=["accuracy"])
        training = ka.callbacks.QuantizationAwareTraining(quantize_at=1, freeze_at=3)
        q.fit(x, y, batch_size=64, epochs=4, verbose=0, callbacks=[*held, training])
        path = pathlib.Path(folder or tempfile.mkdtemp()) / f"{name.replace(' ', '_')}.tflite"
        file = ka.compression.export_litert(q, path, samples=x_test[:100]).file
        accuracy = q.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
        found[name] = accuracy, file.bytes_gzipped
        print(f"held: {name:16}  accuracy {accuracy:.4f}  {file.bytes:,} bytes, gzipped {file.bytes_gzipped:,}")
    return found


if __name__ == "__main__":
    main()
