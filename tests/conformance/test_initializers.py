"""Every public initializer goes through the same checks; one without a case fails."""

import keras
import pytest

from keras_arch import initializers
from keras_arch.testing import check_initializer

pytestmark = pytest.mark.backend

# Name -> (arguments, none at its default; shapes of weights; checks that are left out, with the reason).
CASES = {
    "Chrono": ({"max_time": 30, "gates": (1, 0, -1), "seed": 3}, [(12,), (2, 6)], {}),
    "DeepNorm": ({"num_layers": (12, 6), "stack": "decoder", "seed": 3}, [(4, 5), (3, 3, 2, 4)], {}),
    "DeltaOrthogonal": ({"gain": 1.5, "seed": 3}, [(3, 2, 4), (3, 3, 3, 5), (2, 3, 4, 2, 2)], {}),
    "Dirac": ({"groups": 2}, [(3, 2, 4), (3, 3, 3, 6), (2, 3, 4, 2, 2)], {}),
    "Fixup": (
        {"num_branches": 9, "layers_per_branch": 3, "last": True, "seed": 3},
        [(4, 5), (3, 3, 2, 4)],
        {
            "every_argument_matters": "last=True is zero whatever the rest says: tests/initializers/test_fixup.py",
            "other_seed_other_values": "last=True is zero for any seed: tests/initializers/test_fixup.py",
        },
    ),
    "ICNR": (
        {"scale": 3, "initializer": initializers.Dirac(), "order": "CRD"},
        [(3, 2, 12), (3, 3, 2, 36), (2, 1, 2, 2, 216)],  # for the scales 3 and 2
        {},
    ),
    "IdentityRecurrent": ({"gain": (0.3, -2.0)}, [(3, 6), (1, 2)], {}),
    "ZerO": ({}, [(3, 5), (5, 3), (3, 2, 6), (2, 3, 4, 4)], {}),
}


def public_classes():
    return [name for name in initializers.__all__ if isinstance(getattr(initializers, name), type)]


@pytest.mark.parametrize("name", public_classes())
def test_initializer_conforms(name):
    assert name in CASES, f"{name} has no case: add its arguments and shapes to CASES in {__file__}"
    arguments, shapes, skip = CASES[name]
    check_initializer(getattr(initializers, name), arguments, shapes, skip=skip)


@pytest.mark.parametrize("name", public_classes())
def test_initializer_is_registered_under_its_name_for_ever(name):
    assert keras.saving.get_registered_name(getattr(initializers, name)) == f"keras_arch>{name}"
    assert keras.saving.get_registered_object(f"keras_arch>{name}") is getattr(initializers, name)


def test_every_case_is_public():
    assert sorted(CASES) == sorted(public_classes())
