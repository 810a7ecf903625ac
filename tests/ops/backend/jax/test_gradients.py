"""What is JAX's own about gradients: what the function does not depend on has zeros."""

import keras
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("JAX's own kernels", allow_module_level=True)

import jax.numpy as jnp

from keras_arch.ops.backend.jax.gradients import gradients

pytestmark = pytest.mark.backend


def test_zeros_stand_for_no_gradient():
    found = gradients(lambda points: points[0] ** 2, [jnp.array(3.0), jnp.ones(2)])
    assert [part.tolist() for part in found] == [6.0, [0.0, 0.0]]
