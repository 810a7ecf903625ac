"""Delta-orthogonal kernels: exact orthogonality, structure, and norms through deep convolutions."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.initializers import DeltaOrthogonal

pytestmark = pytest.mark.backend

SHAPES = [(3, 4, 4), (5, 2, 7), (3, 3, 4, 6), (1, 1, 3, 3), (4, 3, 2, 5), (2, 2, 3, 3), (3, 2, 3, 2, 4)]


def centre(kernel):
    return kernel[tuple((size - 1) // 2 for size in kernel.shape[:-2])]


def draw(shape, dtype=None, **arguments):
    return ops.convert_to_numpy(ops.cast(DeltaOrthogonal(**arguments)(shape, dtype), "float32"))


@pytest.mark.parametrize("shape", SHAPES)
def test_only_the_spatial_centre_is_nonzero_and_its_singular_values_are_one(shape):
    kernel = draw(shape, seed=1)
    assert kernel.shape == shape
    np.testing.assert_allclose(np.linalg.svd(centre(kernel), compute_uv=False), 1.0, atol=1e-5)
    assert np.abs(kernel).sum() == pytest.approx(np.abs(centre(kernel)).sum(), rel=1e-6)


def test_gain_scales_the_singular_values():
    values = np.linalg.svd(centre(draw((3, 3, 4, 6), gain=-2.5, seed=1)), compute_uv=False)
    np.testing.assert_allclose(values, 2.5, rtol=1e-5)


def test_matrices_are_uniform_over_the_orthogonal_group():
    generator = keras.random.SeedGenerator(0)
    initializer = DeltaOrthogonal(seed=generator)
    draws = np.stack([ops.convert_to_numpy(initializer((1, 2, 2)))[0] for _ in range(400)])
    # Uniform: each entry has mean 0 and variance 1/2, and rotations are as frequent as reflections.
    assert np.abs(draws.mean(axis=0)).max() < 0.12
    np.testing.assert_allclose((draws**2).mean(axis=0), 0.5, atol=0.06)
    assert 0.4 < (np.linalg.det(draws) > 0).mean() < 0.6


@pytest.mark.parametrize("size", [3, 4])
def test_fifty_circular_convolutions_keep_the_norm(rng, size):
    x = rng.normal(size=(2, 6, 6, 4)).astype("float32")
    before, after = (size - 1) // 2, size // 2
    signal = ops.convert_to_tensor(x)
    for layer in range(50):
        kernel = DeltaOrthogonal(seed=layer)((size, size, 4, 4))
        wrapped = ops.concatenate([signal[:, 6 - before :], signal, signal[:, :after]], axis=1)
        wrapped = ops.concatenate([wrapped[:, :, 6 - before :], wrapped, wrapped[:, :, :after]], axis=2)
        signal = ops.conv(wrapped, kernel, padding="valid")
    kept = np.sqrt((ops.convert_to_numpy(signal) ** 2).sum(axis=-1))
    np.testing.assert_allclose(kept, np.sqrt((x**2).sum(axis=-1)), rtol=1e-4)  # each pixel's, not only the whole


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_same_padding_does_not_shift_even_kernels(rng, size):
    x = rng.normal(size=(1, 7, 3)).astype("float32")
    kernel = DeltaOrthogonal(seed=0)((size, 3, 3))
    got = ops.convert_to_numpy(ops.conv(ops.convert_to_tensor(x), kernel, padding="same"))
    np.testing.assert_allclose(got, x @ centre(ops.convert_to_numpy(kernel)), atol=1e-5)


@pytest.mark.parametrize(("dtype", "rounding"), [("bfloat16", 2**-8), ("float16", 2**-11)])
def test_half_precision_kernels_are_the_rounded_float32_ones(dtype, rounding):
    exact = draw((3, 3, 4, 4), "float32", seed=5)
    np.testing.assert_allclose(draw((3, 3, 4, 4), dtype, seed=5), exact, rtol=rounding, atol=1e-7)


def test_float64_kernels_are_orthogonal_to_float64_accuracy():
    if keras.backend.backend() == "jax":
        pytest.skip("JAX has float64 only with jax_enable_x64")
    q = centre(ops.convert_to_numpy(DeltaOrthogonal(seed=0)((3, 4, 4), "float64")))
    np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-14)


def test_a_seed_generator_gives_new_values_at_each_call_and_an_int_the_same():
    by_int, by_generator = DeltaOrthogonal(seed=3), DeltaOrthogonal(seed=keras.random.SeedGenerator(3))
    first, second = (ops.convert_to_numpy(by_int((1, 3, 3))) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    first, second = (ops.convert_to_numpy(by_generator((1, 3, 3))) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3


@pytest.mark.parametrize("shape", [(3,), (3, 4), (1, 1, 1, 1, 2, 2)])
def test_other_ranks_raise(shape):
    with pytest.raises(ValueError, match="shape must be that of a convolution kernel of rank 3 to 5; received"):
        DeltaOrthogonal()(shape)


def test_more_input_channels_than_filters_raise():
    with pytest.raises(ValueError, match=r"more input channels than filters.*received shape=\(3, 3, 8, 4\).*Use 8"):
        DeltaOrthogonal()((3, 3, 8, 4))


@pytest.mark.parametrize("gain", ["2", float("nan"), float("inf"), None])
def test_a_gain_that_is_no_number_raises(gain):
    with pytest.raises(ValueError, match="gain must be a number"):
        DeltaOrthogonal(gain=gain)


@pytest.mark.oracle
def test_structure_is_that_of_jax():
    jax = pytest.importorskip("jax", reason="needs the extra keras-arch[oracles]")
    for shape in [(3, 2, 4), (4, 3, 2, 5), (3, 5, 2, 2, 2)]:
        theirs = np.asarray(jax.nn.initializers.delta_orthogonal(scale=2.0)(jax.random.key(0), shape))
        ours = draw(shape, gain=2.0, seed=0)
        zeros = np.all(theirs == 0, axis=(-2, -1))
        np.testing.assert_array_equal(np.all(ours == 0, axis=(-2, -1)), zeros)
        for kernel in (theirs, ours):
            np.testing.assert_allclose(centre(kernel) @ centre(kernel).T, 4 * np.eye(shape[-2]), atol=1e-4)
