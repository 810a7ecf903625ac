"""An Elman network that reads text without spaces letter by letter, and is surprised where words begin.

h_t = tanh(W_h x_t + U_h h_{t-1} + b_h),   y_t = softmax(W_y h_t + b_y)

The experiment of Elman 1990, "Finding structure in time", doi:10.1207/s15516709cog1402_1, on documentation in the
standard library: within a word the next letter can be guessed, the first letter of the next word hardly.

python examples/elman_network.py
"""

import ast
import pathlib
import random
import re
import sysconfig

import keras
import numpy as np

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def read_words(files: int | None) -> list[str]:
    """Words of the docstrings of modules, classes and functions, module by module in a fixed random order."""
    paths = sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))
    random.Random(0).shuffle(paths)
    words = []
    for path in paths[:files]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                words += re.findall(r"\b[a-z]+\b", (ast.get_docstring(node) or "").lower())
    return words


def encode(words: list[str], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Letters of the words without spaces, (N, length + 1) indices, and whether each begins a word."""
    letters = np.array([LETTERS.index(letter) for word in words for letter in word], "int32")
    begins = np.array([i == 0 for word in words for i in range(len(word))])
    size = len(letters) // (length + 1) * (length + 1)
    return letters[:size].reshape(-1, length + 1), begins[:size].reshape(-1, length + 1)


def elman_network(units: int) -> keras.Model:
    """Letters x (B, T, 26), one hot, to logits of the next ones, by way of the states h (B, T, units)."""
    x = keras.Input((None, len(LETTERS)))
    cell = keras.layers.SimpleRNNCell(units, activation="tanh")  # W_h, U_h, b_h
    h = keras.layers.RNN(cell, return_sequences=True, name="h")(x)
    y = keras.layers.Dense(len(LETTERS), name="y")(h)  # W_y, b_y: of the output alone, the same at each step
    return keras.Model(x, y)


def main(epochs: int = 8, files: int | None = None, length: int = 40, units: int = 96) -> dict[str, float]:
    """Train; return surprises in bits per letter on a tenth kept aside: of all, first and later letters of words.

    "by counts" is the surprise where nothing but how common each letter is were known.
    """
    keras.utils.set_random_seed(0)
    letters, begins = encode(read_words(files), length)
    x = np.eye(len(LETTERS), dtype="float32")[letters[:, :-1]]
    kept = len(letters) // 10

    model = elman_network(units)
    # jit_compile=False: XLA would compile such a small model for longer than it trains.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3, clipnorm=1.0), loss, jit_compile=False)
    model.fit(x[kept:], letters[kept:, 1:], batch_size=64, epochs=epochs, verbose=2)

    truth, first = letters[:kept, 1:], begins[:kept, 1:]
    surprise = loss_of_each(model.predict(x[:kept], verbose=0), truth)
    share = np.bincount(letters[kept:].ravel(), minlength=len(LETTERS)) / letters[kept:].size
    for row in range(3):
        print("".join(LETTERS[i] for i in truth[row]))
        print("".join("^" if bits > 5 else " " for bits in surprise[row]), " more than 5 bits")
    return {
        "all letters": float(surprise.mean()),
        "first letters": float(surprise[first].mean()),
        "later letters": float(surprise[~first].mean()),
        "by counts": float(-np.log2(share[truth]).mean()),
    }


def loss_of_each(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """-log2 of the probability of each true letter."""
    nats = keras.ops.sparse_categorical_crossentropy(truth, logits, from_logits=True)
    return keras.ops.convert_to_numpy(nats) / np.log(2)


if __name__ == "__main__":
    for name, bits in main().items():
        print(f"{name:13} {bits:.2f} bits")
