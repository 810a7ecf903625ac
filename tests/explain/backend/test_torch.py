"""PyTorch's own gradients, where Keras runs on it."""

import keras
import pytest
from explain.backend.engine_checks import CHECKS

pytestmark = [
    pytest.mark.backend,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="Keras does not run on PyTorch here"),
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_engine_keeps_what_it_promises(rng, check):
    check(rng)
