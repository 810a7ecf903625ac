"""Every public regularizer goes through the same checks; one without a case fails."""

import keras
import pytest

from keras_arch import regularizers
from keras_arch.testing import check_regularizer

pytestmark = pytest.mark.backend

KERNELS = [(5, 3), (3, 5), (2, 2, 2, 3)]
NOT_ZERO = {"zero_at_zero": "zeros are far from orthonormal"}

# Name -> (arguments, none at its default; shapes; further arguments of check_regularizer).
CASES = {
    "Decorrelation": ({"strength": 0.3}, [(5, 4), (3, 2, 4), (2, 3, 2, 3)], {"activity": True}),
    "DoubleSoftOrthogonal": ({"strength": 0.003}, KERNELS, {"skip": NOT_ZERO}),
    "GroupLasso": ({"strength": 0.3, "groups": "input"}, [(5, 4), (3, 2, 4), (3, 3, 2, 4)], {}),
    "Hoyer": ({"strength": 0.3, "groups": "input"}, [(5, 4), (3, 2, 4), (3, 3, 2, 4)], {}),
    "NuclearNorm": ({"strength": 0.3}, KERNELS, {}),
    "SRIP": ({"strength": 0.3, "iterations": 3}, KERNELS, {"skip": NOT_ZERO}),
    "SoftOrthogonal": ({"strength": 0.003}, KERNELS, {"skip": NOT_ZERO}),
    "SparseGroupLasso": ({"strength": 0.3, "l1_ratio": 0.2, "groups": "input"}, [(5, 4), (3, 2, 4), (3, 3, 2, 4)], {}),
    "SpectralNormPenalty": ({"strength": 0.3, "iterations": 2}, KERNELS, {}),
}


def public_classes():
    return [name for name in regularizers.__all__ if isinstance(getattr(regularizers, name), type)]


@pytest.mark.parametrize("name", public_classes())
def test_regularizer_conforms(name):
    assert name in CASES, f"{name} has no case: add its arguments and shapes to CASES in {__file__}"
    arguments, shapes, others = CASES[name]
    check_regularizer(getattr(regularizers, name), arguments, shapes, **others)


@pytest.mark.parametrize("name", public_classes())
def test_regularizer_is_registered_under_its_name_for_ever(name):
    assert keras.saving.get_registered_name(getattr(regularizers, name)) == f"keras_arch>{name}"
    assert keras.saving.get_registered_object(f"keras_arch>{name}") is getattr(regularizers, name)


def test_every_case_is_public():
    assert sorted(CASES) == sorted(public_classes())
