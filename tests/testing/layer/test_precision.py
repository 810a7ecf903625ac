"""Checks of low precision, each seen to notice what it is for."""

import keras
import pytest
from oracles.scaling_layer import Scaling

pytestmark = pytest.mark.backend
register = keras.saving.register_keras_serializable("precision")
ops = keras.ops


@register
class PhasesInComputeDtype(Scaling):
    """A wave over the steps; step 300 is not a bfloat16 number."""

    def call(self, inputs):
        steps = ops.cast(ops.arange(ops.shape(inputs)[1]), self.compute_dtype)
        return super().call(inputs) + ops.sin(steps)[:, None]


@register
class PhasesInFloat32(Scaling):
    def call(self, inputs):
        steps = ops.cast(ops.arange(ops.shape(inputs)[1]), "float32")
        return super().call(inputs) + ops.cast(ops.sin(steps)[:, None], self.compute_dtype)


@register
class AlwaysFloat32(Scaling):
    def call(self, inputs):
        return ops.cast(super().call(inputs), "float32")


@register
class SublayerWithoutPolicy(Scaling):
    def build(self, input_shape):
        self.inner = keras.layers.Dense(3)
        self.inner.build(input_shape)

    def call(self, inputs):
        return self.inner(inputs)


@register
class HalfWeights(Scaling):
    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), dtype=self.compute_dtype)


PRECISION = ("mixed_precision_dtypes", "low_precision")


@pytest.mark.parametrize("layer", [Scaling, PhasesInFloat32])
def test_a_right_layer_passes(failures, only, layer):
    assert failures(layer, input_shape=(2, 600, 3), skip=only(*PRECISION)) == {}


def test_phases_in_half_precision(failures, only):
    found = failures(PhasesInComputeDtype, input_shape=(2, 600, 3), skip=only(*PRECISION))
    assert set(found) == {"low_precision"}
    assert "bfloat16" in found["low_precision"] or "float16" in found["low_precision"]
    assert "resolutions from float32 (allowed 8;" in found["low_precision"]


def test_outputs_in_float32_whatever_the_policy(failures, only):
    found = failures(AlwaysFloat32, skip=only(*PRECISION))
    assert set(found) == {"mixed_precision_dtypes"}
    assert "under mixed_float16 outputs is float32" in found["mixed_precision_dtypes"]
    assert failures(AlwaysFloat32, skip=only(*PRECISION), expect={"output_dtype": "float32"}) == {}


def test_a_sublayer_that_does_not_get_the_policy(failures, only):
    assert set(failures(SublayerWithoutPolicy, skip=only(*PRECISION))) == {"mixed_precision_dtypes"}


def test_weights_in_half_precision(failures, only):
    found = failures(HalfWeights, skip=only("mixed_precision_dtypes"))
    assert "these weights are not float32" in found["mixed_precision_dtypes"]


def test_the_bound_is_the_callers_to_set(failures, only):
    strict = {"low_precision": 0.01}
    assert set(failures(Scaling, skip=only(*PRECISION), tolerances=strict)) == {"low_precision"}
