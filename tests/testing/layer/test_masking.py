"""Checks of masks, each seen to notice what it is for."""

import keras
import numpy as np
import pytest
from oracles.scaling_layer import Scaling

pytestmark = pytest.mark.backend
register = keras.saving.register_keras_serializable("masking")
ops = keras.ops
MASKING = ("mask_is_propagated", "padding_does_not_leak", "mask_equals_slicing", "empty_sample_stays_finite")


class Masked(Scaling):
    """Right: elementwise, hands the mask on."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True


@register
class DropsMask(Masked):
    def compute_mask(self, inputs, mask=None):
        return None


@register
class WrongMask(Masked):
    def compute_mask(self, inputs, mask=None):
        return None if mask is None else mask[:, 1:]


@register
class CentersOverPadding(Masked):
    def call(self, inputs):
        return super().call(inputs) - ops.mean(inputs, axis=1, keepdims=True)


@register
class WeighsPaddingLittle(Masked):
    def call(self, inputs, mask=None):
        weight = 1.0 if mask is None else ops.where(mask, 1.0, 1e-3)[..., None]
        return super().call(inputs) - ops.sum(inputs * weight, axis=1, keepdims=True)


@register
class LeaksInTraining(Masked):
    def call(self, inputs, training=False):
        return super().call(inputs) - (ops.mean(inputs, axis=1, keepdims=True) if training else 0.0)


@register
class CountsPadding(Masked):
    """The content of padding is zeroed, yet it counts in the mean."""

    def call(self, inputs, mask=None):
        kept = inputs if mask is None else inputs * ops.cast(mask, inputs.dtype)[..., None]
        return super().call(inputs) - ops.mean(kept, axis=1, keepdims=True)


@register
class DividesByNothing(Masked):
    def call(self, inputs, mask=None):
        kept = ops.ones_like(inputs[..., :1]) if mask is None else ops.cast(mask, inputs.dtype)[..., None]
        return super().call(inputs) - ops.sum(inputs * kept, axis=1, keepdims=True) / ops.sum(
            kept, axis=1, keepdims=True
        )


@register
class CentersOverValidSteps(Masked):
    def call(self, inputs, mask=None):
        kept = ops.ones_like(inputs[..., :1]) if mask is None else ops.cast(mask, inputs.dtype)[..., None]
        count = ops.maximum(ops.sum(kept, axis=1, keepdims=True), 1.0)
        return super().call(inputs) - ops.sum(ops.where(kept > 0, inputs, 0.0), axis=1, keepdims=True) / count


@pytest.mark.parametrize("layer", [Masked, CentersOverValidSteps])
def test_a_right_layer_passes(failures, only, layer):
    expect = {"supports_masking": True, "mask_shape": (2, 5)}
    assert failures(layer, skip=only(*MASKING), expect=expect, padding=(1.0, float("nan"))) == {}


@pytest.mark.parametrize(
    ("layer", "noticed", "message"),
    [
        (DropsMask, {"mask_is_propagated"}, "carries no mask"),
        (WrongMask, {"mask_is_propagated"}, "has the shape (2, 4)"),
        (
            CentersOverPadding,
            {"padding_does_not_leak", "mask_equals_slicing"},
            "padding of magnitude 1 against other padding",
        ),
        (WeighsPaddingLittle, {"padding_does_not_leak", "mask_equals_slicing"}, "instead of leaving it out"),
        (LeaksInTraining, {"padding_does_not_leak"}, "training=True"),
        (CountsPadding, {"mask_equals_slicing"}, "sample 1 of 3 steps padded and masked against the sample alone"),
        (DividesByNothing, {"empty_sample_stays_finite"}, "divides by zero"),
    ],
)
def test_a_wrong_mask_is_noticed(failures, only, layer, noticed, message):
    found = failures(layer, skip=only(*MASKING))
    assert set(found) == noticed
    assert message in " ".join(found.values())


def test_a_given_mask_is_used(failures, only):
    mask = np.array([[True, False, True, True, True]] * 2)
    found = failures(CentersOverPadding, skip=only(*MASKING), mask=mask)
    assert set(found) == {"padding_does_not_leak"}  # padding in the middle can't be sliced off


def test_masks_may_mean_nothing(failures, only):
    assert failures(CentersOverPadding, skip=only(*MASKING), mask=None) == {}


def test_an_expectation_of_masking(failures, only):
    found = failures(Scaling, skip=only(*MASKING), expect={"supports_masking": True})
    assert set(found) == {"mask_is_propagated"}
