"""A layer-normalized LSTM that reads handwritten digits row by row, in both directions.

python examples/recurrent_on_digits.py
"""

import keras
from sklearn.datasets import load_digits

import keras_arch as ka


def main(epochs: int = 20) -> float:
    """Train, and return the accuracy on the 450 digits kept aside."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    rows, labels = (digits.images / 16).astype("float32"), digits.target  # (N, 8 rows, 8 pixels)

    cell = ka.layers.LayerNormLSTMCell(32, recurrent_dropout=0.1)
    model = keras.Sequential(
        [keras.Input((None, 8)), keras.layers.Bidirectional(keras.layers.RNN(cell)), keras.layers.Dense(10)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(5e-3), loss, metrics=["accuracy"])
    model.fit(rows[:1347], labels[:1347], batch_size=64, epochs=epochs, verbose=2)
    return model.evaluate(rows[1347:], labels[1347:], verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    print(f"test accuracy {main():.4f}")
