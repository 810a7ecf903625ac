"""Regularizers by name: ours and Keras's."""

import keras
import numpy as np
import pytest

from keras_arch import regularizers

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("identifier", ["group_lasso", "GroupLasso", "keras_arch>GroupLasso"])
def test_our_names_give_our_class(identifier):
    assert type(regularizers.get(identifier)) is regularizers.GroupLasso


def test_keras_takes_the_config_but_not_our_string():
    penalty = regularizers.GroupLasso(0.3, "input")
    config = keras.saving.serialize_keras_object(penalty)
    for get in (keras.regularizers.get, regularizers.get):
        assert get(config).get_config() == {"strength": 0.3, "groups": "input"}
    assert keras.layers.Dense(1, kernel_regularizer=config).kernel_regularizer.strength == 0.3
    with pytest.raises(ValueError, match="Could not interpret regularizer identifier"):
        keras.regularizers.get("keras_arch>GroupLasso")


def test_everything_else_is_as_in_keras():
    assert regularizers.get(None) is None
    assert type(regularizers.get("l2")) is keras.regularizers.L2
    assert type(regularizers.get(keras.regularizers.L1)) is keras.regularizers.L1
    assert regularizers.get(np.sum) is np.sum


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="received identifier='group_laso'. Did you mean 'group_lasso'"):
        regularizers.get("group_laso")
