"""Frozen settings through Keras's serialisation and JSON."""

import dataclasses
import json

import keras

from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class Inner(Value):
    axis: int | None = None


@register
@dataclasses.dataclass(frozen=True)
class Outer(Value):
    bits: int = 8
    part: Inner = dataclasses.field(default_factory=Inner)
    names: tuple[str, ...] = ()


def test_values_inside_values_return_equal_from_json():
    value = Outer(4, Inner(-1), ("a", "b"))
    text = json.dumps(keras.saving.serialize_keras_object(value))
    assert keras.saving.deserialize_keras_object(json.loads(text)) == value
