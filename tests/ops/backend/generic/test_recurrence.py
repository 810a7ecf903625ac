import numpy as np
import pytest
from keras import ops
from oracles import recurrence as oracle

from keras_arch.ops.backend.generic import recurrence as generic

pytestmark = pytest.mark.backend

numpy = ops.convert_to_numpy


def normal(rng, *shape):
    return (0.8 * rng.standard_normal(shape)).astype("float32")


def time_first(x):
    return np.swapaxes(x, 0, 1) if x.ndim == 3 else x


def ran(function, *given):
    """A kernel, which has time first, on arrays that have the batch first."""
    return time_first(numpy(function(*(ops.convert_to_tensor(time_first(x)) for x in given))))


@pytest.mark.parametrize("length", [1, 13])
def test_the_scan_is_the_loop(rng, length):
    b, state = normal(rng, 2, length, 3), normal(rng, 2, 3)
    for a in (normal(rng, 2, length, 3), normal(rng, 3)):
        got = ran(generic.linear_recurrence, a, b, state)
        np.testing.assert_allclose(got, oracle.linear_recurrence(a, b, state), rtol=1e-5, atol=1e-5)
    logits = 4 * normal(rng, 2, length, 3)
    got = ran(generic.gated_recurrence, logits, b, state)
    np.testing.assert_allclose(got, oracle.gated_recurrence(logits, b, state), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("varying", [False, True])
def test_halves_are_complex_numbers(rng, varying):
    a, b, state = (normal(rng, *s) for s in ((2, 13, 6) if varying else (6,), (2, 13, 6), (2, 6)))
    a /= 2
    got = ran(generic.complex_linear_recurrence, a, b, state)
    numbers = (x.astype("float64")[..., :3] + 1j * x[..., 3:] for x in (a, b, state))
    expected = oracle.linear_recurrence(*numbers)
    np.testing.assert_allclose(got, np.concatenate([expected.real, expected.imag], -1), rtol=1e-4, atol=1e-5)
