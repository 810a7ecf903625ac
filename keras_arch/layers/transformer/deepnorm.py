"""The initialization of DeepNorm: some projections begin smaller than others."""

from typing import Any

import keras

from keras_arch.core.registration import register
from keras_arch.layers.attention.multi_head_attention import MultiHeadAttention


@register
class ScaledInitializer(keras.initializers.Initializer):
    """The values of another initializer, multiplied.

    value = gain * initializer(shape).

    Args:
        initializer: anything `keras.initializers.get` takes.
        gain: factor.

    >>> keras.ops.convert_to_numpy(ScaledInitializer("ones", 0.5)((2,))).tolist()
    [0.5, 0.5]
    """

    def __init__(self, initializer: Any, gain: float) -> None:
        self.initializer = keras.initializers.get(initializer)
        self.gain = gain

    def __call__(self, shape: tuple, dtype: Any = None) -> Any:
        return self.gain * self.initializer(shape, dtype=dtype)

    def get_config(self) -> dict:
        return {"initializer": keras.initializers.serialize(self.initializer), "gain": self.gain}


class DeepNormAttention(MultiHeadAttention):
    """Multi-head attention whose value and output projections begin with `gain` times the usual values.

    The factor enters by the initializers and not by an assignment after `build`, which Keras may run while it only
    traces shapes. `build` gives each projection a copy of the one initializer, and makes query and key before value and
    output; so the gain rises between the two pairs.
    """

    def __init__(self, *args, gain: float, kernel_initializer: Any = "glorot_uniform", **kwargs) -> None:
        first_values = ScaledInitializer(kernel_initializer, 1.0)
        super().__init__(*args, kernel_initializer=first_values, **kwargs)
        self.gain, self.first_values = gain, first_values

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, keras.layers.EinsumDense) and value.name == "key":
            self.first_values.gain = self.gain
