"""Every public constraint goes through the same checks; one without a case fails."""

import keras
import pytest

from keras_arch import constraints
from keras_arch.testing import check_constraint

pytestmark = pytest.mark.backend

STEP = {"strength": 0.5, "learning_rate": 0.3}
SHAPES = [(5, 4), (2, 3, 2, 3)]

# Name -> (arguments, none at its default; shapes of weights). All are proximal operators: nonexpansive, not idempotent.
CASES = {
    "ProximalGroupLasso": ({**STEP, "groups": "input"}, SHAPES),
    "ProximalL1": (STEP, [(4,), *SHAPES]),
    "ProximalNuclearNorm": (STEP, SHAPES),
    "ProximalSparseGroupLasso": ({**STEP, "groups": "input", "l1_ratio": 0.2}, SHAPES),
}


def public_classes():
    return [name for name in constraints.__all__ if isinstance(getattr(constraints, name), type)]


@pytest.mark.parametrize("name", public_classes())
def test_constraint_conforms(name):
    assert name in CASES, f"{name} has no case: add its arguments and shapes to CASES in {__file__}"
    arguments, shapes = CASES[name]
    check_constraint(getattr(constraints, name), arguments, shapes, declares=["nonexpansive"])


@pytest.mark.parametrize("name", public_classes())
def test_constraint_is_registered_under_its_name_for_ever(name):
    assert keras.saving.get_registered_name(getattr(constraints, name)) == f"keras_arch>{name}"
    assert keras.saving.get_registered_object(f"keras_arch>{name}") is getattr(constraints, name)


def test_every_case_is_public():
    assert sorted(CASES) == sorted(public_classes())
