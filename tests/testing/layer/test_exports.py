"""Checks of exports, each seen to notice what it is for."""

import keras
import pytest
from oracles.scaling_layer import Scaling

register = keras.saving.register_keras_serializable("exports")
ops = keras.ops
EXPORTS = ("saved_model", "litert")


@register
class GuessesLength(Scaling):
    """Five steps wherever the length is not known: right only at the sizes of the case."""

    def call(self, inputs):
        return ops.sum(super().call(inputs), axis=1) / (inputs.shape[1] or 5)


@register
class NeedsSelectOps(Scaling):
    def call(self, inputs):
        return ops.erfinv(ops.tanh(super().call(inputs)))


@pytest.fixture(autouse=True)
def _needs_tensorflow():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("exports are checked with the TensorFlow backend")


def test_a_right_layer_passes(failures, only):
    pytest.importorskip("ai_edge_litert", reason="needs the package ai-edge-litert")
    assert failures(Scaling, skip=only(*EXPORTS), slow=EXPORTS) == {}


def test_a_length_guessed_where_it_is_none(failures, only):
    found = failures(GuessesLength, skip=only("saved_model", "dynamic_dimensions"), slow=["saved_model"])
    assert set(found) == {"saved_model", "dynamic_dimensions"}
    assert "outputs of the SavedModel" in found["saved_model"]
    assert "at other sizes" in found["dynamic_dimensions"]


def test_an_operation_that_litert_lacks(failures, only):
    pytest.importorskip("ai_edge_litert", reason="needs the package ai-edge-litert")
    found = failures(NeedsSelectOps, skip=only("litert"), slow=["litert"])
    assert set(found) == {"litert"}
    assert "Select TensorFlow ops" in found["litert"]
