"""The command line: `keras-arch demo`."""

from keras_arch.cli.main import main

__all__ = ["main"]
