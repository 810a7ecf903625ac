"""A residual network on handwritten digits loses half of its channels for real: by size, by loss, by explanations.

python examples/shrink_residual_network.py
"""

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_arch as ka


def network(filters: int) -> keras.Model:
    """Logits of the digits: a stem and two residual stages of stock layers."""

    def convolved(x: object, count: int, strides: int = 1, activation: bool = True) -> object:
        x = keras.layers.Conv2D(count, 3, strides=strides, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        return keras.layers.ReLU()(x) if activation else x

    inputs = keras.Input((8, 8, 1))
    x = convolved(inputs, filters)
    x = keras.layers.ReLU()(keras.layers.Add()([x, convolved(convolved(x, filters), filters, activation=False)]))
    x = convolved(x, 2 * filters, strides=2)
    x = keras.layers.ReLU()(
        keras.layers.Add()([x, convolved(convolved(x, 2 * filters), 2 * filters, activation=False)])
    )
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))


def main(epochs: int = 15, filters: int = 32) -> dict[str, tuple[float, int]]:
    """Train, prune and shrink; return (test accuracy, parameters) of the whole network and of three small ones.

    To keep accuracy, pruning starts from a trained network, takes half of the epochs, at a third of the first learning
    rate, and leaves the other half to recover.
    """
    keras.utils.set_random_seed(0)
    digits = load_digits()
    images, labels = (digits.images / 16).astype("float32")[..., None], digits.target
    x, y, x_test, y_test = images[:1347], labels[:1347], images[1347:], labels[1347:]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    whole = network(filters)
    whole.compile(keras.optimizers.AdamW(3e-3), loss, metrics=["accuracy"])
    whole.fit(x, y, batch_size=64, epochs=epochs, verbose=2)
    results = {"whole": (whole.evaluate(x_test, y_test, verbose=0)[1], whole.count_params())}

    def relevance(model: keras.Model, layer: str) -> ka.explain.Attribution:
        return ka.explain.IntegratedGradients(steps=4, layer=layer).explain(model, x[:64], target=y[:64])

    criteria = ka.compression.pruning.criteria
    for name, criterion in {
        "by size": "magnitude",
        "by loss": criteria.Taylor(x[:512], y[:512]),
        "by relevance": criteria.Relevance(relevance),
    }.items():
        model = keras.models.clone_model(whole)
        model.set_weights(whole.get_weights())
        model.compile(keras.optimizers.AdamW(1e-3), loss, metrics=["accuracy"])
        steps = epochs * -(-len(x) // 64)
        every = max(1, steps // 20)
        schedule = ka.compression.PolynomialSchedule(0.0, 0.5, begin_step=0, end_step=steps // 2, every=every)
        pruning = ka.callbacks.Pruning(schedule, criterion, pattern="channel")
        model.fit(x, y, batch_size=64, epochs=epochs, verbose=2, callbacks=[pruning])
        small = ka.compression.shrink(model)
        gap = np.abs(small.predict(x_test, verbose=0) - model.predict(x_test, verbose=0)).max()
        assert gap < 1e-3, "the small network computes what the pruned one does"
        small.compile(loss=loss, metrics=["accuracy"])
        results[name] = small.evaluate(x_test, y_test, verbose=0)[1], small.count_params()
    for name, (accuracy, parameters) in results.items():
        print(f"{name:12}  test accuracy {accuracy:.4f}  {parameters:6,} parameters")
    return results


if __name__ == "__main__":
    main()
