"""Checks of shapes, dtypes and counts, each seen to notice what it is for."""

import keras
import numpy as np
import pytest
from oracles.scaling_layer import Scaling

pytestmark = pytest.mark.backend
register = keras.saving.register_keras_serializable("shapes")


@register
class RaisesAlways(Scaling):
    def call(self, inputs):
        raise ValueError("no such luck")


@register
class BuildsInCall(Scaling):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(3)

    def call(self, inputs):
        return self.inner(super().call(inputs))


@register
class PromisesOneMore(Scaling):
    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)


@register
class PromisesAnotherDtype(Scaling):
    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, dtype="float16")


@register
class BakesInTheBatch(Scaling):
    def build(self, input_shape):
        super().build(input_shape)
        self.batch = -1 if input_shape[0] is None else input_shape[0]

    def call(self, inputs):
        return keras.ops.reshape(super().call(inputs), (self.batch, *keras.ops.shape(inputs)[1:]))


@register
class AddsLoss(Scaling):
    def call(self, inputs):
        self.add_loss(keras.ops.sum(self.scale))
        return super().call(inputs)


SHAPES = (
    "build_creates_every_weight",
    "symbolic_call_agrees",
    "compute_output_shape_agrees",
    "dynamic_dimensions",
    "mixed_precision_dtypes",
    "weights_file",
)


def test_a_right_layer_passes(failures, only):
    expect = {
        "output": np.full((2, 5, 3), 2.0, "float32"),
        "output_shape": (2, 5, 3),
        "output_dtype": "float32",
        "trainable_weights": 1,
        "non_trainable_weights": 0,
        "seed_generators": 0,
        "losses": 0,
    }
    ones = np.ones((2, 5, 3), "float32")
    assert failures(Scaling, skip=only(*SHAPES), input_data=ones, expect=expect) == {}


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ({"output": np.zeros((2, 5, 3))}, "outputs of a fresh layer against the expected ones"),
        ({"output_shape": (2, 5, 4)}, "have the shape"),
        ({"output_dtype": "float16"}, "have the dtype float32"),
        ({"losses": 2}, "adds 1 losses, expected 2"),
    ],
)
def test_another_expectation(failures, only, expect, message):
    found = failures(AddsLoss, skip=only(*SHAPES), expect=expect)
    assert set(found) == {"can_be_called"}
    assert message in found["can_be_called"]


def test_another_number_of_weights(failures, only):
    found = failures(Scaling, skip=only(*SHAPES), expect={"trainable_weights": 3})
    assert set(found) == {"build_creates_every_weight"}
    assert "{'trainable_weights': 1}, expected {'trainable_weights': 3}" in found["build_creates_every_weight"]


def test_nothing_else_is_asked_of_a_layer_that_can_not_be_called(failures):
    found = failures(RaisesAlways)
    assert set(found) == {"can_be_called"}
    assert "no such luck" in found["can_be_called"]


def test_weights_made_in_the_call(failures, only):
    found = failures(BuildsInCall, skip=only("build_creates_every_weight", "compute_output_shape_agrees"))
    assert set(found) == {"build_creates_every_weight"}
    assert "build makes weights of shapes [(3,)], a call [(3,), (3, 3), (3,)]" in found["build_creates_every_weight"]


def test_a_wrong_output_shape(failures, only):
    found = failures(PromisesOneMore, skip=only(*SHAPES))
    assert set(found) == {"compute_output_shape_agrees"}
    assert "gives (2, 5, 4), the call (2, 5, 3)" in found["compute_output_shape_agrees"]


def test_a_wrong_output_dtype(failures, only):
    found = failures(PromisesAnotherDtype, skip=only("symbolic_call_agrees", "dynamic_dimensions"))
    assert set(found) == {"symbolic_call_agrees"}
    assert "promised the dtype float16 and has float32" in found["symbolic_call_agrees"]


def test_a_batch_size_baked_in(failures):
    found = failures(BakesInTheBatch)
    assert set(found) == {"dynamic_dimensions"}
    assert "Python number" in found["dynamic_dimensions"]
