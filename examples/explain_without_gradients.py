"""Why a CNN reads a digit as it does, asked without gradients: occlusion, RISE, LIME, Kernel SHAP, Shapley values.

python examples/explain_without_gradients.py
"""

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_arch as ka


def main(epochs: int = 10, masks: int = 2000) -> dict[str, float]:
    """Train, explain four digits; return how far Kernel SHAP is from the Shapley values, and LIME's lowest fidelity."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    x, y = (digits.images / 16).astype("float32")[..., None], digits.target

    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(24, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(48, 3, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[:1347], y[:1347], batch_size=64, epochs=epochs, verbose=2)

    shown, cells = x[1347:1351], ka.explain.Patches((2, 4))  # eight features of 2 x 4 pixels
    methods = {
        "occlusion": ka.explain.Occlusion(window=3, stride=1),
        "RISE": ka.explain.RISE(masks=masks, grid=4),
        "LIME": ka.explain.LIME(samples=masks, segments=cells),
        "Kernel SHAP": ka.explain.KernelSHAP(samples=256, segments=cells, background=x[:20]),
        "Shapley values": ka.explain.ShapleyValues(segments=cells, background=x[:20]),
    }
    found = {name: method.explain(model, shown) for name, method in methods.items()}
    for name, attribution in found.items():
        row, column = np.unravel_index(attribution.values[0].argmax(), (8, 8))
        print(f"{name} sees most for {attribution.target[0]} at row {row}, column {column}")
    exact = found["Shapley values"]
    print(f"scores {exact.scores} of which without any pixel {exact.baseline_scores}")
    return {
        "distance": float(np.abs(found["Kernel SHAP"].values - exact.values).max()),
        "fidelity": float(found["LIME"].details["fidelity"].min()),
    }


if __name__ == "__main__":
    print(main())
