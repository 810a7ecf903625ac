"""A small Transformer that reads handwritten digits row by row.

python examples/transformer_on_digits.py
"""

import keras
from sklearn.datasets import load_digits

import keras_arch as ka


def main(epochs: int = 20) -> float:
    """Train, and return the accuracy on the 450 digits kept aside."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    rows, labels = (digits.images / 16).astype("float32"), digits.target  # (N, 8 rows, 8 pixels)

    inputs = keras.Input((8, 8))
    x = keras.layers.Dense(48)(inputs)
    x = ka.layers.SinusoidalPositionEncoding()(x)
    for _ in range(2):
        x = ka.layers.TransformerEncoderBlock(num_heads=4, intermediate_dim=96, dropout=0.1)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, keras.layers.Dense(10)(x))

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(2e-3), loss, metrics=["accuracy"])
    model.fit(rows[:1347], labels[:1347], batch_size=64, epochs=epochs, verbose=2)
    return model.evaluate(rows[1347:], labels[1347:], verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    print(f"test accuracy {main():.4f}")
