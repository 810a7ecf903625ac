"""A layer of your own, held to what users expect of Keras's: one line finds the mistake.

python examples/check_your_layer.py
"""

import keras

import keras_arch as ka


@keras.saving.register_keras_serializable("examples")
class Average(keras.layers.Layer):
    """The mean over time, (B, T, D) to (B, D). Its mistake: it takes a mask and counts padded steps all the same."""

    def call(self, inputs, mask=None):
        return keras.ops.mean(inputs, axis=1)

    def compute_mask(self, inputs, previous_mask=None):
        return None


@keras.saving.register_keras_serializable("examples")
class MendedAverage(Average):
    """The mean over the steps that are not padding."""

    def call(self, inputs, mask=None):
        if mask is None:
            return keras.ops.mean(inputs, axis=1)
        weights = keras.ops.cast(mask, inputs.dtype)[:, :, None]  # (B, T, 1)
        count = keras.ops.maximum(keras.ops.sum(weights, axis=1), 1)  # (B, 1)
        return keras.ops.sum(inputs * weights, axis=1) / count


def main() -> str:
    """Check both layers; return what is said of the first."""
    print(ka.testing.check_layer(MendedAverage, {}, (2, 5, 8)))
    try:
        ka.testing.check_layer(Average, {}, (2, 5, 8))
    except AssertionError as error:
        return str(error)
    return "nothing"


if __name__ == "__main__":
    print(main())
