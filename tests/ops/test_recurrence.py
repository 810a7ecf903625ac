import keras
import numpy as np
import pytest
from keras import ops
from oracles import recurrence as oracle
from scipy.signal import lfilter

from keras_arch.ops.recurrence import (
    complex_linear_recurrence,
    gated_recurrence,
    hold,
    input_share_logits,
    linear_recurrence,
)

pytestmark = pytest.mark.backend

numpy = ops.convert_to_numpy
LENGTHS = [1, 7, 70]


def parts(numbers):
    """Real before imaginary parts."""
    return np.concatenate([numbers.real, numbers.imag], axis=-1).astype("float32")


@pytest.mark.parametrize("constant", [False, True])
def test_time_may_come_first(rng, constant):
    a = rng.uniform(-1, 1, (4,) if constant else (2, 7, 4)).astype("float32")
    b, state = normal(rng, 2, 7, 4), normal(rng, 2, 4)
    swap = lambda x: np.swapaxes(x, 0, 1) if x.ndim == 3 else x  # noqa: E731
    for function in (linear_recurrence, complex_linear_recurrence, *(() if constant else (gated_recurrence,))):
        got = function(swap(a), swap(b), state, time_major=True)
        np.testing.assert_allclose(numpy(got), swap(numpy(function(a, b, state))), rtol=1e-5, atol=1e-6)
    mask = rng.random((2, 7)) > 0.5
    np.testing.assert_array_equal(numpy(hold(swap(b), mask.T, time_major=True)), swap(numpy(hold(b, mask))))


def normal(rng, *shape):
    return (0.8 * rng.standard_normal(shape)).astype("float32")


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("constant", [False, True])
def test_linear_recurrence_is_its_loop(rng, length, constant):
    a = rng.uniform(-1, 1, (3,) if constant else (2, length, 3)).astype("float32")
    b, state = normal(rng, 2, length, 3), normal(rng, 2, 3)
    np.testing.assert_allclose(
        numpy(linear_recurrence(a, b, state)), oracle.linear_recurrence(a, b, state), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(numpy(linear_recurrence(a, b)), oracle.linear_recurrence(a, b), rtol=1e-5, atol=1e-5)


def test_states_may_have_any_rank(rng):
    a, b = normal(rng, 2, 5, 3, 2), normal(rng, 2, 5, 3, 2)
    np.testing.assert_allclose(numpy(linear_recurrence(a, b)), oracle.linear_recurrence(a, b), rtol=1e-5, atol=1e-5)


def test_a_constant_factor_is_a_first_order_filter(rng):
    b = normal(rng, 2, 70, 1)
    expected = lfilter([1.0], [1.0, -0.9], b.astype("float64"), axis=1)
    np.testing.assert_allclose(numpy(linear_recurrence(np.array([0.9], "float32"), b)), expected, atol=1e-5)


@pytest.mark.parametrize("length", LENGTHS)
def test_complex_recurrence_is_its_loop(rng, length):
    a = (0.9 * np.exp(1j * rng.uniform(0, 6, 3))).astype("complex64")
    b = normal(rng, 2, length, 3) + 1j * normal(rng, 2, length, 3)
    state = normal(rng, 2, 3) + 1j * normal(rng, 2, 3)
    got = complex_linear_recurrence(*(parts(v) for v in (a, b, state)))
    expected = oracle.linear_recurrence(a.astype("complex128"), b, state)
    np.testing.assert_allclose(numpy(got), parts(expected), atol=2e-5)
    varying = np.broadcast_to(parts(a), (2, length, 6))
    varied = complex_linear_recurrence(varying, *(parts(v) for v in (b, state)))
    np.testing.assert_allclose(numpy(varied), numpy(got), atol=2e-5)


def test_a_complex_factor_is_a_complex_filter(rng):
    factor = 0.9 * np.exp(0.5j)
    b = normal(rng, 1, 70, 1)
    expected = lfilter([1.0], [1.0, -factor], b.astype("complex128"), axis=1)
    got = complex_linear_recurrence(parts(np.array([factor])), parts(b))
    np.testing.assert_allclose(numpy(got), parts(expected), atol=2e-5)


@pytest.mark.parametrize("length", LENGTHS)
def test_gated_recurrence_is_its_loop(rng, length):
    logits, candidates, state = normal(rng, 2, length, 3) * 4, normal(rng, 2, length, 3), normal(rng, 2, 3)
    expected = oracle.gated_recurrence(logits, candidates, state)
    np.testing.assert_allclose(numpy(gated_recurrence(logits, candidates, state)), expected, rtol=1e-5, atol=1e-5)


def test_a_closed_gate_keeps_the_state_and_an_open_one_takes_the_candidate():
    logits = np.array([[[np.inf], [-np.inf], [-np.inf], [np.inf]]], "float32")
    candidates = np.array([[[3.0], [5.0], [7.0], [9.0]]], "float32")
    assert numpy(gated_recurrence(logits, candidates)).ravel().tolist() == [3, 3, 3, 9]


def test_hold_repeats_the_last_step_that_counts(rng):
    x, mask = normal(rng, 3, 9, 2), rng.random((3, 9)) > 0.5
    mask[0] = False
    np.testing.assert_array_equal(numpy(hold(x, mask)), oracle.held(x, mask))


def test_a_held_step_is_not_touched_by_what_stands_under_the_mask():
    x = np.array([[[1.0], [np.nan], [2.0]]], "float32")
    assert numpy(hold(x, np.array([[True, False, True]]))).ravel().tolist() == [1, 1, 2]


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_input_gate_gets_its_share_of_both(rng, scale):
    wide = "float32" if keras.backend.backend() == "jax" else "float64"  # JAX knows no float64 unless told
    enter, keep = (rng.standard_normal((2, 20)) * scale).astype(wide).astype("float64")
    got = oracle.sigmoid(numpy(input_share_logits(enter.astype(wide), keep.astype(wide))))
    with np.errstate(over="ignore"):
        log_enter, log_keep = -np.logaddexp(0, -enter), -np.logaddexp(0, -keep)
    np.testing.assert_allclose(
        got, np.exp(log_enter - np.logaddexp(log_enter, log_keep)), rtol=1e-4 if wide == "float32" else 1e-6, atol=1e-12
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_float32_rounded_once(rng, dtype):
    a, b = (ops.cast(ops.convert_to_tensor(v), dtype) for v in (rng.uniform(0.9, 1, (2, 70, 3)), normal(rng, 2, 70, 3)))
    got = linear_recurrence(a, b)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    wanted = ops.cast(linear_recurrence(ops.cast(a, "float32"), ops.cast(b, "float32")), dtype)
    np.testing.assert_array_equal(numpy(ops.cast(got, "float32")), numpy(ops.cast(wanted, "float32")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones(3), np.ones(3)), r"b must have a batch and a time axis \(B, T, ...\); received b=\(3,\)"),
        ((np.ones((2, 4, 3)), np.ones((2, 5, 3))), r"a must have the shape of b, \(2, 5, 3\), or of one state, \(3,\)"),
        ((np.ones(3), np.ones((2, 5, 3)), np.ones((1, 3))), r"initial_state must have the shape \(2, 3\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        linear_recurrence(*arguments)


def test_complex_numbers_have_two_parts():
    with pytest.raises(ValueError, match="b must hold all real parts before all imaginary ones"):
        complex_linear_recurrence(np.ones(3), np.ones((2, 5, 3)))


def test_gates_need_a_value_for_each_step():
    with pytest.raises(ValueError, match="logits must have the shape of candidates"):
        gated_recurrence(np.ones(3), np.ones((2, 5, 3)))


@pytest.mark.oracle
def test_linear_recurrence_is_the_associative_scan_of_jax(rng):
    jax = pytest.importorskip("jax", reason="needs the extra keras-arch[oracles]")
    a, b = rng.uniform(-1, 1, (2, 70, 3)).astype("float32"), normal(rng, 2, 70, 3)
    after = lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1])  # noqa: E731
    expected = np.asarray(jax.lax.associative_scan(after, (a, b), axis=1)[1])
    np.testing.assert_allclose(numpy(linear_recurrence(a, b)), expected, rtol=1e-5, atol=1e-5)
