"""A CNN on handwritten digits whose kernels hold 16 values each: half of the weights pruned, the rest clustered.

python examples/cluster_digits.py
"""

import keras
from sklearn.datasets import load_digits

import keras_arch as ka


def main(epochs: int = 20) -> tuple[float, float]:
    """Train, prune, cluster; return the accuracy on the 450 digits kept aside, before and after."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    x, y = (digits.images / 16).astype("float32")[..., None], digits.target
    x, y, x_test, y_test = x[:1347], y[:1347], x[1347:], y[1347:]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(24, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(48, 3, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=2)
    before = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
    print(ka.compression.clustering_report(model))

    steps = 22 * epochs  # 1347 digits are 22 batches of 64
    schedule = ka.compression.PolynomialSchedule(0.0, 0.5, begin_step=steps, end_step=steps + steps // 4, every=5)
    model.fit(x, y, batch_size=64, epochs=epochs // 2, verbose=2, callbacks=[ka.callbacks.Pruning(schedule)])

    model.compile(keras.optimizers.Adam(2e-4), loss, metrics=["accuracy"])
    clustering = ka.callbacks.Clustering(clusters=16, preserve_zeros=True)
    model.fit(x, y, batch_size=64, epochs=max(epochs // 4, 1), verbose=2, callbacks=[clustering])
    print(clustering.report())
    return before, model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    print("test accuracy {:.4f} of float32 weights, {:.4f} of 16 values a kernel".format(*main()))
