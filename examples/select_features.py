"""A network that chooses which measurements it reads: whole rows of its first kernel become exactly zero.

python examples/select_features.py
"""

import keras
import numpy as np
from sklearn.datasets import load_diabetes

import keras_arch as ka


def main(epochs: int = 200, strength: float = 0.1) -> tuple[float, list[str]]:
    """Train; return the share of variance explained on 100 patients kept aside, and the measurements that are read."""
    keras.utils.set_random_seed(0)
    table = load_diabetes(scaled=True)
    x = (table.data * len(table.data) ** 0.5).astype("float32")  # columns of mean 0 and variance 1
    y = ((table.target - table.target.mean()) / table.target.std()).astype("float32")
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[100:], order[:100]

    optimizer = keras.optimizers.SGD(0.02)
    rows = ka.constraints.ProximalGroupLasso(strength, groups="input", learning_rate=optimizer)
    model = keras.Sequential(
        [
            keras.Input((x.shape[1],)),
            keras.layers.Dense(16, "tanh", kernel_constraint=rows),
            keras.layers.Dense(1),
        ]
    )
    # jit_compile=False: XLA would compile such a small model for longer than it trains.
    model.compile(optimizer, "mse", jit_compile=False)
    model.fit(x[train], y[train], batch_size=32, epochs=epochs, verbose=0)

    norms = np.linalg.norm(model.layers[0].get_weights()[0], axis=1)
    read = [name for name, norm in zip(table.feature_names, norms, strict=True) if norm > 0]
    for name, norm in sorted(zip(table.feature_names, norms, strict=True), key=lambda pair: -pair[1]):
        print(f"{name:4} {norm:.3f}" if norm else f"{name:4} not read")
    residue = y[test] - model.predict(x[test], verbose=0)[:, 0]
    return float(1 - np.mean(residue**2) / np.var(y[test])), read


if __name__ == "__main__":
    share, read = main()
    print(f"explains {share:.2f} of the variance with {len(read)} of 10 measurements: {', '.join(read)}")
