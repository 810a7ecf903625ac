"""ZerO: identities keep signals to the bit, Hadamard matrices keep them apart."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.initializers import ZerO

pytestmark = pytest.mark.backend


def made(shape, dtype=None):
    return ops.convert_to_numpy(ZerO()(shape, dtype))


def test_fifty_layers_of_one_width_hand_their_input_on_to_the_bit(rng):
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    signal = ops.convert_to_tensor(x)
    for _ in range(50):
        signal = ops.conv(signal, ZerO()((3, 3, 3)), padding="same")
    np.testing.assert_array_equal(ops.convert_to_numpy(signal), x)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 2), (3, 4), (3, 8), (15, 16)])
def test_widening_to_a_power_of_two_keeps_angles_and_doubles_squares(inputs, outputs):
    matrix = made((inputs, outputs))
    np.testing.assert_allclose(matrix @ matrix.T, 2 * np.eye(inputs), atol=1e-6)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 3), (5, 7), (4, 12), (6, 33)])
def test_any_widening_has_entries_of_one_size(inputs, outputs):
    matrix = made((inputs, outputs))
    np.testing.assert_allclose(np.abs(matrix), 2 ** (-(np.ceil(np.log2(outputs)) - 1) / 2), rtol=1e-6)


def test_a_widened_layer_has_a_higher_rank_than_its_input(rng):
    """The paper's reason for Hadamard matrices: after an identity, ReLU leaves the rank of the input."""
    x = rng.normal(size=(40, 3))

    def rank(weights):
        return np.linalg.matrix_rank(np.maximum(x @ weights, 0))

    assert rank(np.eye(3, 8)) == 3
    assert rank(made((3, 8)).astype("float64")) > 3


def test_narrowing_takes_the_first_inputs():
    np.testing.assert_array_equal(made((5, 3)), np.eye(5, 3))


@pytest.mark.parametrize("spatial", [(3,), (2, 3), (4, 1, 3)])
def test_kernels_have_the_matrix_at_their_centre(spatial):
    kernel = made((*spatial, 3, 6))
    np.testing.assert_array_equal(kernel[tuple((size - 1) // 2 for size in spatial)], made((3, 6)))
    assert np.count_nonzero(kernel) == 18


@pytest.mark.parametrize("shape", [(), (3,), (1,) * 6])
def test_other_ranks_raise(shape):
    with pytest.raises(ValueError, match="rank 2 to 5; received"):
        ZerO()(shape)


def test_keras_layers_take_it():
    layer = keras.layers.Dense(4, kernel_initializer="keras_arch>ZerO")
    layer.build((None, 2))
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.kernel), made((2, 4)))


@pytest.mark.oracle
@pytest.mark.parametrize(("inputs", "outputs"), [(2, 3), (5, 8), (4, 12), (20, 33)])
def test_widenings_are_cut_from_the_matrices_of_scipy(inputs, outputs):
    linalg = pytest.importorskip("scipy.linalg", reason="needs the extra keras-arch[oracles]")
    order = int(np.ceil(np.log2(outputs)))
    wide = np.eye(outputs, 2**order) @ linalg.hadamard(2**order) @ np.eye(2**order, inputs)  # the paper's (P, Q)
    np.testing.assert_allclose(made((inputs, outputs)), (2 ** (-(order - 1) / 2) * wide).T, rtol=1e-6)
