"""A CNN on handwritten digits: pruned to 80 %, then quantized to int8 with its zeros kept.

python examples/prune_and_quantize_digits.py
"""

import pathlib
import tempfile

import keras
from sklearn.datasets import load_digits

import keras_arch as ka


def main(epochs: int = 20, folder: str | None = None) -> float:
    """Train, prune, quantize, export; return the accuracy of the quantized model on the 450 digits kept aside."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    x, y = (digits.images / 16).astype("float32")[..., None], digits.target
    x, y, x_test, y_test = x[:1347], y[:1347], x[1347:], y[1347:]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(24, 3, padding="same", use_bias=False, kernel_initializer="keras_arch>DeltaOrthogonal"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(48, 3, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    model.compile(keras.optimizers.AdamW(2e-3), loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=2)

    steps = 22 * epochs  # 1347 digits are 22 batches of 64
    schedule = ka.compression.PolynomialSchedule(0.0, 0.8, begin_step=steps, end_step=steps + steps // 2, every=5)
    pruning = ka.callbacks.Pruning(schedule)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=2, callbacks=[pruning])
    print(pruning.report())

    q = ka.compression.quantize(model, weights=8, activations=8)
    q.compile(keras.optimizers.AdamW(3e-4), loss, metrics=["accuracy"])
    keep_zeros = ka.callbacks.Pruning(ka.compression.ConstantSchedule(0.8))
    training = ka.callbacks.QuantizationAwareTraining(quantize_at=1, freeze_at=3)
    q.fit(x, y, batch_size=64, epochs=4, verbose=2, callbacks=[keep_zeros, training])

    path = pathlib.Path(folder or tempfile.mkdtemp()) / "digits_int8.tflite"
    print(ka.compression.export_litert(q, path, samples=x_test[:100]))
    return q.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    print(f"int8 test accuracy {main():.4f}")
