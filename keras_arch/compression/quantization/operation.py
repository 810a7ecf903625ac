"""A bare operation of a graph, such as `x + y`, as a layer that a wrapper can hold."""

from typing import Any

import keras

from keras_arch.core.registration import register


@register
class OperationLayer(keras.layers.Layer):
    """Calls a Keras operation, in the types it is given.

    Args:
        operation: what a functional model holds for `x + y` or `keras.ops.einsum(...)`; it has no weights.
        constants: what it is called with beside tensors, by the place among its arguments: {1: 0.5} for `x * 0.5`.
        **kwargs: `name`, as for every layer.

    >>> from keras_arch.compression.quantization.operation import OperationLayer
    >>> x = keras.Input((2,))
    >>> [operation] = [each for each in keras.Model(x, x + x).operations if not isinstance(each, keras.Layer)]
    >>> OperationLayer(operation)(keras.ops.ones((1, 2)), keras.ops.ones((1, 2))).shape
    TensorShape([1, 2])
    """

    def __init__(self, operation: Any, constants: dict[int, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "autocast": False})
        self.operation = operation
        self.constants = {int(place): value for place, value in (constants or {}).items()}
        self.supports_masking = True  # an operation drops masks
        self.built = True

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the operation."""
        given = iter((inputs, *args))
        count = 1 + len(args) + len(self.constants)
        arguments = [self.constants[i] if i in self.constants else next(given) for i in range(count)]
        return self.operation(*arguments, **kwargs)

    def compute_mask(self, *args: Any, **kwargs: Any) -> None:
        """None: what an operation gives has no mask."""
        return

    def get_config(self) -> dict[str, Any]:
        """Settings for `keras.saving`."""
        save = keras.saving.serialize_keras_object
        constants = {str(place): save(value) for place, value in self.constants.items()}
        return {**super().get_config(), "operation": save(self.operation), "constants": constants}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "OperationLayer":
        """Rebuild a layer that `get_config` described."""
        load = keras.saving.deserialize_keras_object
        constants = {place: load(value, custom_objects=custom_objects) for place, value in config["constants"].items()}
        operation = load(config["operation"], custom_objects=custom_objects)
        return cls(**{**config, "operation": operation, "constants": constants})
