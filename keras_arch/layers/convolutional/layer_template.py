"""A layer that others are made after."""

from typing import Any

import keras

from keras_arch.core import check


class LayerTemplate:
    """What a layer looked like before it was built: new ones are made after it, and it is no part of any model.

    Args:
        layer: any Keras layer; what it has learned is not taken over.

    >>> template = LayerTemplate(keras.layers.BatchNormalization(momentum=0.9))
    >>> made = template.make(name="first", axis=1)
    >>> made.name, made.momentum, made.axis
    ('first', 0.9, 1)
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        self.serialized = keras.saving.serialize_keras_object(layer)

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments of the layer."""
        return self.serialized["config"]

    def make(self, **changes: Any) -> keras.layers.Layer:
        """Return a new layer, with some arguments changed."""
        serialized = {**self.serialized, "config": {**self.config, **changes}}
        serialized.pop("build_config", None)
        return keras.saving.deserialize_keras_object(serialized)


NAMED = {"batch": keras.layers.BatchNormalization, "layer": keras.layers.LayerNormalization}


def as_normalization(identifier: Any) -> LayerTemplate | None:
    """Turn a choice of normalization into a template.

    Args:
        identifier: "batch", "layer", a Keras layer, or None for no normalization.
    Raises:
        ValueError: for anything else.

    >>> as_normalization("batch").config["momentum"]
    0.99
    """
    if identifier is None:
        return None
    if isinstance(identifier, keras.layers.Layer):
        return LayerTemplate(identifier)
    if not isinstance(identifier, str):
        advice = 'Pass "batch", "layer", None, or a layer such as keras.layers.GroupNormalization(8).'
        raise check.refuse("normalization", "must be a name, a Keras layer or None", identifier, advice)
    return LayerTemplate(NAMED[check.one_of("normalization", identifier, NAMED)]())
