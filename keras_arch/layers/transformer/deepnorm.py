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
    traces shapes.
    """

    gain = 1.0

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, keras.layers.EinsumDense) and value.name in ("value", "attention_output"):
            value.kernel_initializer = ScaledInitializer(value.kernel_initializer, self.gain)
        super().__setattr__(name, value)
