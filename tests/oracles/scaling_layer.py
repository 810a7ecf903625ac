"""A layer that is right and small, for tests to break in one place."""

import keras


@keras.saving.register_keras_serializable("oracles")
class Scaling(keras.layers.Layer):
    """Inputs times a trainable scale per feature."""

    def __init__(self, start=2.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.start))

    def call(self, inputs):
        return inputs * self.scale

    def get_config(self):
        return {**super().get_config(), "start": self.start}
