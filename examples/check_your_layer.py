"""A layer of your own, held to what users expect of Keras's: one line finds the mistake.

python examples/check_your_layer.py
"""

import keras

import keras_arch as ka


@keras.saving.register_keras_serializable("examples")
class Scale(keras.layers.Layer):
    """Multiply each feature by a learned factor. Its mistake: `get_config` forgets the initial value."""

    def __init__(self, initial: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.initial))

    def call(self, inputs):
        return inputs * self.factor


@keras.saving.register_keras_serializable("examples")
class MendedScale(Scale):
    """The same, with its argument in the config, and registered so that files that hold it load."""

    def get_config(self):
        return {**super().get_config(), "initial": self.initial}


def main() -> str:
    """Check both layers; return what is said of the first."""
    print(ka.testing.check_layer(MendedScale, {"initial": 0.5}, (2, 5, 8)))
    try:
        ka.testing.check_layer(Scale, {"initial": 0.5}, (2, 5, 8))
    except AssertionError as error:
        return str(error)
    return "nothing"


if __name__ == "__main__":
    print(main())
