"""Surveys list what a forward pass does."""

import keras
import pytest

from keras_arch.explain.survey import survey

pytestmark = pytest.mark.backend

L = keras.layers


class Reversed(keras.Model):
    """Runs its layers in the opposite order of their creation."""

    def __init__(self):
        super().__init__()
        self.late = L.Dense(2, name="late")
        self.early = L.Dense(3, name="early")

    def call(self, inputs):
        return self.late(self.early(inputs))


def test_a_survey_lists_layers_in_the_order_they_ran_and_knows_the_output():
    found = survey(Reversed(), keras.ops.ones((2, 4)))
    assert [(visit.path, visit.shape, visit.is_output) for visit in found.visits] == [
        ("early", (2, 3), False),
        ("late", (2, 2), True),
    ]


def test_a_tensor_handed_on_belongs_to_the_layer_that_made_it():
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3, name="maker")], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, L.Dropout(0.5), L.Dense(2, name="head")])
    assert [visit.path for visit in survey(model, keras.ops.ones((1, 4))).visits] == ["inner/maker", "head"]


def test_a_survey_describes_the_outputs_in_their_structure():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"a": L.Dense(3)(inputs), "b": [L.Dense(1)(inputs)]})
    outputs = survey(model, keras.ops.ones((2, 4))).outputs
    assert outputs["a"].shape == (2, 3)
    assert outputs["b"][0].shape == (2, 1)
    assert outputs["a"].dtype == "float32"
