import numpy as np
import pytest
from keras import ops
from oracles.global_response import global_response_loop

from keras_arch.layers import GlobalResponseNormalization

pytestmark = pytest.mark.backend


def test_it_starts_as_the_identity(rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(GlobalResponseNormalization()(x)), x)


def test_equals_the_loop_with_gamma_and_beta(rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    gamma, beta = rng.standard_normal((2, 3)).astype("float32")
    layer = GlobalResponseNormalization(epsilon=0.1)
    layer.build(x.shape)
    layer.set_weights([gamma, beta])
    wanted = gamma * global_response_loop(x, 0.1) + beta + x
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), wanted, rtol=1e-5, atol=1e-5)


def test_the_norm_does_not_overflow_in_float16():
    layer = GlobalResponseNormalization(dtype="mixed_float16")
    layer.build((None, 8, 8, 2))
    layer.gamma.assign([1.0, 1.0])
    got = layer(np.full((1, 8, 8, 2), 1000.0))
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.cast(got, "float32")), np.full((1, 8, 8, 2), 2000.0))


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, None)])
def test_inputs_without_places_or_channels_are_refused(shape):
    with pytest.raises(ValueError, match="inputs must have a batch axis, places, and channels of known number"):
        GlobalResponseNormalization().build(shape)


def test_bad_epsilon_is_refused():
    with pytest.raises(ValueError, match="epsilon must be a number"):
        GlobalResponseNormalization(epsilon=0)
