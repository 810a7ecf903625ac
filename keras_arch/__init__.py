"""keras_arch: building blocks, compression and explanations for Keras 3 models."""

__version__ = "0.1.0"
