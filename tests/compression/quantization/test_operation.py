"""A bare operation in a layer: its constants, their places, and files."""

import keras
import numpy as np
import pytest

from keras_arch.compression.quantization.operation import OperationLayer

pytestmark = pytest.mark.backend


def operation_of(tensor):
    return tensor._keras_history.operation


@pytest.mark.parametrize(
    ("make", "constants", "expected"),
    [
        (lambda x: x * 0.5, {1: 0.5}, lambda x: x * 0.5),
        (lambda x: 2.0 - x, {0: 2.0}, lambda x: 2.0 - x),
        (lambda x: x[:, 1:], {1: (slice(None), slice(1, None))}, lambda x: x[:, 1:]),
    ],
)
def test_constants_stand_in_their_places_also_after_a_round_trip(make, constants, expected, rng):
    x = rng.normal(size=(2, 3)).astype("float32")
    layer = OperationLayer(operation_of(make(keras.Input((3,)))), constants)
    again = OperationLayer.from_config(layer.get_config())
    for each in (layer, again):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(each(x)), expected(x), rtol=1e-6)


def test_two_tensors_are_taken_in_their_order(rng):
    x, y = rng.normal(size=(2, 4, 3)).astype("float32")
    layer = OperationLayer(operation_of(keras.Input((3,)) - keras.Input((3,))))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x, y)), x - y, rtol=1e-6)


def test_masks_end_at_an_operation():
    tokens = keras.Input((3,), dtype="int32")
    x = keras.layers.Embedding(9, 2, mask_zero=True)(tokens)
    assert OperationLayer(operation_of(x * 2.0), {1: 2.0}).compute_mask(x) is None
