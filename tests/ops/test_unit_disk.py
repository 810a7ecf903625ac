import numpy as np
import pytest
from keras import ops
from scipy.stats import kstest

from keras_arch.ops.unit_disk import decay_of, draw_decay, draw_phase, input_scale

pytestmark = pytest.mark.backend

numpy = ops.convert_to_numpy


def test_the_factor_is_inside_the_unit_circle_whatever_is_learned():
    real, imaginary = (numpy(part) for part in decay_of(np.linspace(-10, 5, 50, dtype="float32"), np.zeros(50, "f4")))
    assert (np.hypot(real, imaginary) <= 1).all()
    expected = np.exp(-np.exp(np.linspace(-10, 5, 50)) + 1j)
    np.testing.assert_allclose(real + 1j * imaginary, expected, atol=1e-6)


def test_factors_are_uniform_on_the_ring():
    decay, phase = numpy(draw_decay((4000,), 0.5, 0.9, seed=0)), numpy(draw_phase((4000,), 2.0, seed=1))
    radius = np.exp(-np.exp(decay.astype("float64")))
    area = (radius**2 - 0.5**2) / (0.9**2 - 0.5**2)  # uniform on the ring: the area within a radius is uniform
    assert kstest(area, "uniform").pvalue > 0.01
    assert kstest(np.exp(phase) / 2.0, "uniform").pvalue > 0.01


def test_a_ring_that_is_the_whole_disk_has_no_infinite_logarithm():
    assert np.isfinite(numpy(draw_decay((10000,), 0.0, 1 - 1e-9, seed=0))).all()
    assert np.isfinite(numpy(draw_phase((10000,), 1e-3, seed=0))).all()


def test_scaled_inputs_give_states_of_variance_one():
    """s[t] = λ s[t-1] + γ x[t] with white x: Var s = γ² / (1 − |λ|²)."""
    decay = np.log(-np.log(np.array([0.1, 0.9, 0.999])))
    scale = np.exp(numpy(input_scale(decay.astype("float32"))))
    variance = scale**2 * sum(np.array([0.1, 0.9, 0.999]) ** (2 * k) for k in range(20000))
    np.testing.assert_allclose(variance, 1, rtol=1e-4)
