"""What the tests of this room share."""

import subprocess
import sys

import numpy as np
import pytest
from browser.application import application, load
from werkzeug.test import Client


@pytest.fixture
def provider():
    """log_dir -> TensorBoard's own data provider."""
    return load


@pytest.fixture
def client():
    """log_dir -> WSGI client of a whole TensorBoard application with our plugin."""
    return lambda log_dir: Client(application(log_dir))


@pytest.fixture
def picture():
    """(height, width, channels, seed) -> uint8 pixels."""
    return lambda *shape, seed=0: np.random.default_rng(seed).integers(0, 256, shape).astype("uint8")


@pytest.fixture
def alone():
    """code -> finished process that ran it with this room but without the package's `__init__`, which imports Keras."""
    prelude = """
import importlib.util, sys, types
package = types.ModuleType("keras_arch")
package.__path__ = list(importlib.util.find_spec("keras_arch").submodule_search_locations)
sys.modules["keras_arch"] = package
"""

    def run(code):
        return subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, text=True, check=False)

    return run
