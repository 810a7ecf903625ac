"""What the tests of this room share."""

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
