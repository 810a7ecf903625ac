"""Constraints by name: ours and Keras's."""

import keras
import numpy as np
import pytest

from keras_arch import constraints

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("identifier", ["proximal_l1", "ProximalL1", "keras_arch>ProximalL1"])
def test_our_names_give_our_class(identifier):
    assert type(constraints.get(identifier)) is constraints.ProximalL1


def test_keras_takes_the_config():
    config = keras.saving.serialize_keras_object(constraints.ProximalGroupLasso(0.3, "input", 0.1))
    for get in (keras.constraints.get, constraints.get):
        assert get(config).get_config() == {"strength": 0.3, "groups": "input", "learning_rate": 0.1}
    assert keras.layers.Dense(1, kernel_constraint=config).kernel_constraint.strength == 0.3


def test_everything_else_is_as_in_keras():
    assert constraints.get(None) is None
    assert type(constraints.get("non_neg")) is keras.constraints.NonNeg
    assert type(constraints.get(keras.constraints.UnitNorm)) is keras.constraints.UnitNorm
    assert constraints.get(np.abs) is np.abs


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="received identifier='proximal_l2'. Did you mean 'proximal_l1'"):
        constraints.get("proximal_l2")
