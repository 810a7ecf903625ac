"""TensorBoard: the event writer that callbacks use and the plugin that shows what they wrote."""

from keras_arch.tensorboard.png import encode_png
from keras_arch.tensorboard.sparsity import write_sparsity
from keras_arch.tensorboard.writer import EventWriter

__all__ = ["EventWriter", "encode_png", "write_sparsity"]
