import numpy as np
import pytest
from keras import ops
from oracles import recurrence as oracle

from keras_arch.ops.backend.generic import recurrence as generic

pytestmark = pytest.mark.backend

numpy = ops.convert_to_numpy


def normal(rng, *shape):
    return (0.8 * rng.standard_normal(shape)).astype("float32")


@pytest.mark.parametrize("length", [1, 13])
def test_the_scan_is_the_loop(rng, length):
    b, state = normal(rng, 2, length, 3), normal(rng, 2, 3)
    for a in (normal(rng, 2, length, 3), normal(rng, 3)):
        got = generic.linear_recurrence(*map(ops.convert_to_tensor, (a, b, state)))
        np.testing.assert_allclose(numpy(got), oracle.linear_recurrence(a, b, state), rtol=1e-5, atol=1e-5)
    logits = 4 * normal(rng, 2, length, 3)
    got = generic.gated_recurrence(*map(ops.convert_to_tensor, (logits, b, state)))
    np.testing.assert_allclose(numpy(got), oracle.gated_recurrence(logits, b, state), rtol=1e-5, atol=1e-5)


def test_pairs_are_complex_numbers(rng):
    a, b, state = (normal(rng, 2, *s) for s in ((3,), (2, 13, 3), (2, 3)))
    got = generic.complex_linear_recurrence(*(tuple(map(ops.convert_to_tensor, v)) for v in (a, b, state)))
    expected = oracle.linear_recurrence(*(v[0].astype("complex128") + 1j * v[1] for v in (a, b, state)))
    np.testing.assert_allclose(numpy(got[0]), expected.real, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(numpy(got[1]), expected.imag, rtol=1e-4, atol=1e-5)
