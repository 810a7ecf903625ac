"""How the layers of this package are spread over devices by `keras.distribution`."""

from keras_arch.distribution.transformer_layout_map import transformer_layout_map

__all__ = ["transformer_layout_map"]
