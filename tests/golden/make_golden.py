"""Writes the files that this release saves, once, at its release: they must load for ever.

python tests/golden/make_golden.py
"""

import pathlib

import keras
import numpy as np

import keras_arch as ka

FOLDER = pathlib.Path(__file__).resolve().parent / ka.__version__


def reader() -> keras.Model:
    """A small model that holds every kind of serialisable object: layers, a cell, an initializer, a regularizer."""
    image = keras.Input((6, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", kernel_initializer=ka.initializers.DeltaOrthogonal(seed=1))(image)
    x = keras.layers.Reshape((6, 32))(x)
    x = ka.layers.SinusoidalPositionEncoding()(keras.layers.Dense(8)(x))
    x = ka.layers.MultiHeadAttention(num_heads=2, key_dim=4)(x, x)
    x = ka.layers.TransformerEncoderBlock(num_heads=2, intermediate_dim=12, dropout=0.1)(x)
    x = keras.layers.RNN(ka.layers.LayerNormLSTMCell(5))(x)
    return keras.Model(image, keras.layers.Dense(3, kernel_regularizer=ka.regularizers.GroupLasso(1e-3))(x))


def classifier() -> keras.Model:
    """A small net to be quantized."""
    layers = [keras.layers.Conv2D(4, 3, use_bias=False), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    return keras.Sequential([keras.Input((6, 8, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(3)])


def main() -> None:
    """Write the models, and what they compute, into the folder of this version."""
    keras.utils.set_random_seed(0)
    FOLDER.mkdir(exist_ok=False)
    x = np.random.default_rng(0).normal(size=(4, 6, 8, 1)).astype("float32")
    quantized = ka.compression.quantize(classifier())
    ka.compression.calibrate(quantized, x)
    outputs = {}
    for name, model in {"reader": reader(), "quantized": quantized}.items():
        model.save(FOLDER / f"{name}.keras")
        outputs[name] = model.predict(x, verbose=0)
    np.savez(FOLDER / "outputs.npz", x=x, **outputs)
    ka.explain.IntegratedGradients(steps=4).explain(reader(), x, target=1).save(FOLDER / "attribution.npz")


if __name__ == "__main__":
    main()
