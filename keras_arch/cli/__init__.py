"""The command line: `keras-arch demo`."""

from keras_arch.cli.command import main

__all__ = ["main"]
