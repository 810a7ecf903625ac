"""Cells of Keras pass; a cell is judged by its own config as well as inside RNN."""

import keras
import pytest

from keras_arch.testing import CHECK_NAMES, check_cell

pytestmark = pytest.mark.backend


def test_a_cell_of_keras_passes():
    if keras.backend.backend() == "jax":
        pytest.skip("JAX compiles each operation: half a minute; the conformance battery runs a cell")
    skip = {"jit_compile": "slow", "saved_model": "slow", "litert": "slow"}
    report = check_cell(keras.layers.GRUCell, {"units": 2, "dropout": 0.3, "seed": 1}, (2, 4, 3), skip=skip)
    names = [name.removeprefix("cell: ") for name, _ in report.passed + report.left_out]
    assert set(names) == set(CHECK_NAMES)
    assert "cell: config_holds_every_argument" in dict(report.passed)


def test_the_config_of_the_cell_itself_is_checked(failures, only):
    found = failures(SecretCell, {"units": 2}, (2, 4, 3), cell=True, skip=only("config_holds_every_argument"))
    assert set(found) == {"cell: config_holds_every_argument"}
    assert "the config lacks: secret" in found["cell: config_holds_every_argument"]


@keras.saving.register_keras_serializable("check_cell")
class SecretCell(keras.layers.SimpleRNNCell):
    def __init__(self, units, secret=1, **kwargs):
        super().__init__(units, **kwargs)
        self.secret = secret


def test_nothing_follows_a_cell_that_can_not_be_called(failures):
    found = failures(RaisingCell, {"units": 2}, (2, 4, 3), cell=True)
    assert set(found) == {"can_be_called"}


@keras.saving.register_keras_serializable("check_cell")
class RaisingCell(keras.layers.SimpleRNNCell):
    def call(self, sequence, states, training=False):
        raise RuntimeError("not today")


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="skip must name checks that exist; received masked"):
        check_cell(keras.layers.GRUCell, {"units": 2}, (2, 4, 3), skip={"masked": "?"})
