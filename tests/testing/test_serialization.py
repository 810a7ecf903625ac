"""Configs of initializers and regularizers: each check fails for a class that breaks it and no other."""

import keras
import pytest

from keras_arch.testing.layer.check import Mismatch
from keras_arch.testing.serialization import (
    ObjectSubject,
    class_serialization,
    config_holds_every_argument,
    config_round_trip,
    holding_model,
)

pytestmark = pytest.mark.backend


@keras.saving.register_keras_serializable(package="tests")
class Scaled(keras.Regularizer):
    def __init__(self, factor=1.0, power=2):
        self.factor = factor
        self.power = power

    def __call__(self, x):
        return self.factor * keras.ops.sum(keras.ops.abs(x) ** self.power)

    def get_config(self):
        return {"factor": self.factor, "power": self.power}


class Unregistered(Scaled):
    """Known to nobody."""


class Forgetful(Scaled):
    def get_config(self):
        return {"factor": self.factor}


class Deaf(Scaled):
    def __init__(self, factor=1.0, power=2):
        super().__init__(factor)


class Growing(Scaled):
    def get_config(self):
        return {"factor": self.factor + 1, "power": self.power}


@keras.saving.register_keras_serializable(package="tests")
class NoJson(Scaled):
    def get_config(self):
        return {"factor": self.factor, "power": {1, 2}}


def subject(cls, tmp_path, **arguments):
    return ObjectSubject(cls, arguments or {"factor": 3.0, "power": 3}, ((2, 2),), tmp_path)


def test_a_good_class_passes(tmp_path):
    good = subject(Scaled, tmp_path)
    config_round_trip.run(good)
    assert config_holds_every_argument.run(good) == "2 arguments"
    assert class_serialization.run(good) == "tests>Scaled"


@pytest.mark.parametrize(
    ("cls", "check", "message"),
    [
        (Forgetful, config_holds_every_argument, "the config lacks: power"),
        (Deaf, config_holds_every_argument, "power=2 for the value given and for the default alike"),
        (Growing, config_round_trip, "changed by get_config and from_config: factor"),
        (Unregistered, class_serialization, "Unregistered is not registered with Keras"),
    ],
)
def test_a_broken_class_is_caught(tmp_path, cls, check, message):
    with pytest.raises(Mismatch, match=message):
        check.run(subject(cls, tmp_path))


def test_a_config_that_is_not_json_raises(tmp_path):
    with pytest.raises((TypeError, ValueError)):
        class_serialization.run(subject(NoJson, tmp_path))


def test_a_case_that_leaves_an_argument_at_its_default_is_refused(tmp_path):
    with pytest.raises(Mismatch, match=r"init_kwargs leaves power at its default 2.*Give it another value"):
        config_holds_every_argument.run(subject(Scaled, tmp_path, factor=3.0))


def test_a_holder_keeps_its_weight_out_of_the_outputs():
    model = holding_model((2, 3), initializer="ones", regularizer=Scaled(2.0))
    assert float(keras.ops.convert_to_numpy(model.losses[0])) == 12.0
    assert float(keras.ops.convert_to_numpy(model(keras.ops.ones((1, 1))))[0, 0]) == 1.0
