"""Initializers by name: ours and Keras's."""

import keras
import numpy as np
import pytest

from keras_arch import initializers

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("identifier", ["delta_orthogonal", "DeltaOrthogonal", "keras_arch>DeltaOrthogonal"])
def test_our_names_give_our_class(identifier):
    assert type(initializers.get(identifier)) is initializers.DeltaOrthogonal


def test_keras_layers_take_the_registered_name():
    layer = keras.layers.Conv1D(4, 3, kernel_initializer="keras_arch>DeltaOrthogonal")
    assert type(layer.kernel_initializer) is initializers.DeltaOrthogonal


def test_everything_else_is_as_in_keras():
    assert initializers.get(None) is None
    assert type(initializers.get("he_normal")) is keras.initializers.HeNormal
    assert type(initializers.get(keras.initializers.Ones)) is keras.initializers.Ones
    assert initializers.get({"class_name": "Constant", "config": {"value": 3.0}}).value == 3.0
    assert initializers.get(np.ones) is np.ones
    table = np.arange(6.0, dtype="float32").reshape(2, 3)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(initializers.get(table)((2, 3))), table)


def test_a_config_keeps_every_argument():
    ours = initializers.DeltaOrthogonal(gain=1.5, seed=7)
    again = initializers.get(keras.saving.serialize_keras_object(ours))
    assert again.get_config() == {"gain": 1.5, "seed": 7}


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="received identifier='delta_ortogonal'. Did you mean 'delta_orthogonal'"):
        initializers.get("delta_ortogonal")
