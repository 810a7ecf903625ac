"""Checks of files, each seen to notice what it is for."""

import keras
import numpy as np
import pytest
from oracles.scaling_layer import Scaling

from keras_arch.testing.layer.files import flat_arrays

pytestmark = pytest.mark.backend
register = keras.saving.register_keras_serializable("files")


@register
class StateInAttribute(Scaling):
    """Counts its training calls in a Python number that no file keeps."""

    calls = 0

    def call(self, inputs, training=False):
        if training:
            self.calls += 1
        return super().call(inputs) + self.calls


@register
class SavesNothing(Scaling):
    def save_own_variables(self, store):
        store["empty"] = np.zeros(1)

    def load_own_variables(self, store):
        self.loaded_from = list(store.keys())


def test_a_right_layer_passes(failures, only):
    assert failures(Scaling, skip=only("keras_file", "weights_file")) == {}


def test_state_that_is_not_saved(failures, only):
    found = failures(StateInAttribute, skip=only("keras_file", "weights_file"))
    assert set(found) == {"keras_file", "weights_file"}
    assert "must be equal bit for bit" in found["keras_file"]


def test_weights_that_are_not_saved(failures, only):
    found = failures(SavesNothing, skip=only("weights_file"))
    assert set(found) == {"weights_file"}


def test_files_lie_in_the_directory_asked_for(failures, only, tmp_path):
    options = {"skip": only("keras_file", "weights_file"), "directory": tmp_path / "new"}
    assert failures(Scaling, **options) == {}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["Scaling.keras", "Scaling.npz"]


def test_inputs_by_name_keep_their_names():
    assert list(flat_arrays({"value": np.zeros(1), "query": np.ones(1)})) == ["value", "query"]
