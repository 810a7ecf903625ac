import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.core.masking import mask_of, with_mask, without_mask

pytestmark = pytest.mark.backend


def test_mask_of_an_embedding_and_of_nothing():
    tokens = np.array([[1, 2, 0]])
    embedded = keras.layers.Embedding(3, 4, mask_zero=True)(tokens)
    np.testing.assert_array_equal(ops.convert_to_numpy(mask_of(embedded)), tokens > 0)
    assert mask_of(ops.ones((1, 3, 4))) is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_attached_masks_are_read_by_keras_layers_and_leave_values_alone(dtype, rng):
    x = ops.cast(rng.standard_normal((2, 3, 4)), dtype)
    mask = ops.convert_to_tensor([[True, True, False], [True, False, False]])
    masked = with_mask(x, mask)
    assert keras.backend.standardize_dtype(masked.dtype) == dtype
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.equal(masked, x)), True)
    pooled = keras.layers.GlobalAveragePooling1D()(ops.cast(x, "float32"), mask=mask)
    got = keras.layers.GlobalAveragePooling1D(dtype="float32")(masked)
    np.testing.assert_allclose(ops.convert_to_numpy(got), ops.convert_to_numpy(pooled), atol=1e-6)


def test_a_tensor_without_mask_leaves_the_masked_one_alone(rng):
    masked = with_mask(ops.ones((1, 2, 3)), ops.convert_to_tensor([[True, False]]))
    bare = without_mask(masked)
    assert mask_of(bare) is None
    assert mask_of(masked) is not None
    assert tuple(bare.shape) == (1, 2, 3)
