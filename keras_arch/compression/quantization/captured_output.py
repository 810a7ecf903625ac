"""Converters that talk, and a terminal that stays quiet."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def captured_output() -> Iterator[Any]:
    """Keep what a converter writes off the terminal: its C++ part writes to the file descriptors themselves.

    Yields:
        The open file that holds what was said.

    >>> with captured_output() as said:
    ...     print("heard by nobody")
    ...     _ = said.seek(0)
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as said, warnings.catch_warnings():
        # TensorFlow's converter warns of its own deprecated parts, which the user did not call.
        warnings.filterwarnings("ignore", module=r"(tensorflow|keras)\.")
        kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
        try:
            for descriptor in kept:
                os.dup2(said.fileno(), descriptor)
            python = open(said.fileno(), "w", closefd=False)  # noqa: SIM115 - closed by the with statement below
            with python, contextlib.redirect_stdout(python), contextlib.redirect_stderr(python):
                yield said
        finally:
            for descriptor, copy in kept.items():
                os.dup2(copy, descriptor)
                os.close(copy)
