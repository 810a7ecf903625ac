"""What the checks of initializers, regularizers and constraints share."""

import keras
import numpy as np
import pytest

from keras_arch.testing.layer.check import LayerCheckError, Mismatch
from keras_arch.testing.object_checks import file_check, run_object_checks, sparse_weights, value_checks, weight
from keras_arch.testing.serialization import ObjectSubject

pytestmark = pytest.mark.backend


@keras.saving.register_keras_serializable(package="tests")
class Power(keras.Regularizer):
    def __init__(self, factor=1.0, power=2):
        self.factor = factor
        self.power = power

    def __call__(self, x):
        return self.factor * keras.ops.sum(keras.ops.abs(x) ** self.power)

    def get_config(self):
        return {"factor": self.factor, "power": self.power}


@keras.saving.register_keras_serializable(package="tests")
class Deaf(Power):
    def __call__(self, x):
        return self.factor * keras.ops.sum(keras.ops.abs(x))


@keras.saving.register_keras_serializable(package="tests")
class Forgets(Power):
    @classmethod
    def from_config(cls, config):
        return cls(config["factor"])


def subject(cls, tmp_path):
    return ObjectSubject(cls, {"factor": 0.5, "power": 3}, ((2, 3), (4,)), tmp_path)


def cost(regularizer, shape):
    return keras.ops.convert_to_numpy(regularizer(keras.ops.convert_to_tensor(weight(shape))))


MATTERS, SURVIVE = value_checks(cost)
FILE = file_check("regularizer", lambda model: model.losses, initializer="ones")


def passed(cls, *checks, directory):
    report = run_object_checks(cls, {"factor": 0.5, "power": 3}, [(2, 3), (4,)], checks, None, None, directory)
    assert report.left_out == ()
    return [name for name, _ in report.passed]


def test_a_good_class_passes(tmp_path):
    names = ["every_argument_matters", "values_survive_the_config", "keras_file"]
    assert passed(Power, MATTERS, SURVIVE, FILE, directory=tmp_path) == names
    assert (tmp_path / "Power.keras").exists()


@pytest.mark.parametrize(
    ("cls", "check", "message"),
    [
        (Deaf, MATTERS, "power given and power=2 give the same values for every shape"),
        (Forgets, SURVIVE, r"the values for the shape \(2, 3\) changed by get_config and from_config"),
        (Forgets, FILE, "the loaded regularizer has the config {'factor': 0.5, 'power': 2}"),
    ],
)
def test_a_broken_class_is_caught(tmp_path, cls, check, message):
    with pytest.raises(Mismatch, match=message):
        check.run(subject(cls, tmp_path))


def test_an_object_that_does_something_else_after_loading_is_caught(tmp_path):
    effects = iter([1.0, 2.0])
    check = file_check("regularizer", lambda model: np.array(next(effects)), initializer="ones")
    with pytest.raises(Mismatch, match="what the loaded regularizer does"):
        check.run(subject(Power, tmp_path))


def test_ignored_arguments_are_not_asked_about(tmp_path):
    with pytest.raises(LayerCheckError, match="power given and power=2"):
        passed(Deaf, MATTERS, directory=tmp_path)
    ignoring, _ = value_checks(cost, ignored=("power",))
    assert passed(Deaf, ignoring, directory=tmp_path) == ["every_argument_matters"]


def test_weights_are_the_same_each_time_and_sparse_ones_have_zeros_along_both_axes():
    np.testing.assert_array_equal(weight((3, 4)), weight((3, 4)))
    zeros, columns, rows = sparse_weights((3, 4))
    assert not zeros.any()
    assert (columns == 0).all(axis=0).tolist() == [True, True, False, False]
    assert (rows == 0).all(axis=1).tolist() == [True, True, False]
    assert len(sparse_weights((3,))) == 2


def test_no_shapes_and_unknown_names_raise():
    with pytest.raises(ValueError, match=r"shapes must hold at least one weight shape; received shapes=\(\)"):
        run_object_checks(Power, {}, [], (MATTERS,), None, None, None)
    with pytest.raises(ValueError, match="skip must name checks that exist; received matters"):
        run_object_checks(Power, {}, [(2,)], (MATTERS,), {"matters": "a reason"}, None, None)
