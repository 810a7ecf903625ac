"""Why a CNN reads a digit as it does: Grad-CAM and integrated gradients, as numbers and as a picture.

python examples/explain_digits.py
"""

import pathlib
import tempfile

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_arch as ka


def main(epochs: int = 10, folder: str | None = None) -> float:
    """Train, explain eight digits, write explanations.png; return the largest relative completeness error."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    x, y = (digits.images / 16).astype("float32")[..., None], digits.target

    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(24, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(48, 3, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(x[:1347], y[:1347], batch_size=64, epochs=epochs, verbose=2)

    shown = x[1347:1355]
    gradients = ka.explain.IntegratedGradients(steps=64).explain(model, shown)
    maps = ka.explain.GradCAM().explain(model, shown)
    path = pathlib.Path(folder or tempfile.mkdtemp()) / "explanations.png"
    ka.plots.gallery([maps, gradients]).savefig(path)
    print(f"the picture is {path}")
    return float(np.max(gradients.completeness_error))


if __name__ == "__main__":
    print(f"largest completeness error {main():.2e}")
