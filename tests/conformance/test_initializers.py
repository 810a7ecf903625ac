"""Every public initializer goes through the same checks; one without a case fails."""

import keras
import pytest

from keras_arch import initializers
from keras_arch.testing import check_initializer

pytestmark = pytest.mark.backend

# Name -> (arguments, none at its default; shapes of weights).
CASES = {
    "DeltaOrthogonal": ({"gain": 1.5, "seed": 3}, [(3, 2, 4), (3, 3, 3, 5), (2, 3, 4, 2, 2)]),
}


def public_classes():
    return [name for name in initializers.__all__ if isinstance(getattr(initializers, name), type)]


@pytest.mark.parametrize("name", public_classes())
def test_initializer_conforms(name):
    assert name in CASES, f"{name} has no case: add its arguments and shapes to CASES in {__file__}"
    arguments, shapes = CASES[name]
    check_initializer(getattr(initializers, name), arguments, shapes)


@pytest.mark.parametrize("name", public_classes())
def test_initializer_is_registered_under_its_name_for_ever(name):
    assert keras.saving.get_registered_name(getattr(initializers, name)) == f"keras_arch>{name}"
    assert keras.saving.get_registered_object(f"keras_arch>{name}") is getattr(initializers, name)


def test_every_case_is_public():
    assert sorted(CASES) == sorted(public_classes())
