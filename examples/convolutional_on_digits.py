"""A convolutional network of residual and inverted residual blocks that recognizes handwritten digits.

python examples/convolutional_on_digits.py
"""

import keras
from sklearn.datasets import load_digits

import keras_arch as ka


def classifier(filters: int) -> keras.Sequential:
    """Logits of the digits: three stages, each half as high and wide as the one before."""

    def norm() -> keras.layers.Layer:
        return keras.layers.BatchNormalization(momentum=0.9)  # few steps: averages have to follow soon

    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
            keras.layers.Conv2D(filters, 3, padding="same", use_bias=False),
            ka.layers.ResidualBlock(filters, normalization=norm()),
            ka.layers.InvertedResidualBlock(
                2 * filters, expand_ratio=3, strides=2, squeeze_excite=0.25, normalization=norm()
            ),
            ka.layers.ResidualBlock(2 * filters, normalization=norm()),
            ka.layers.BottleneckBlock(4 * filters, strides=2, normalization=norm()),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, kernel_regularizer=ka.regularizers.SoftOrthogonal(1e-3)),
        ]
    )


def main(epochs: int = 20, filters: int = 16) -> float:
    """Train, and return the accuracy on the 450 digits kept aside."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    images, labels = (digits.images / 16).astype("float32")[..., None], digits.target

    model = classifier(filters)
    # jit_compile=False: XLA would compile such a small model for longer than it trains.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    steps = epochs * (1347 // 64 + 1)
    optimizer = keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(5e-3, steps))
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    model.fit(images[:1347], labels[:1347], batch_size=64, epochs=epochs, verbose=2)
    return model.evaluate(images[1347:], labels[1347:], verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    print(f"test accuracy {main():.4f}")
