"""Checks of the config, for objects that are not layers: initializers, regularizers and constraints."""

import inspect
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import keras

from keras_arch.testing.layer.check import Mismatch, check
from keras_arch.testing.layer.construction import canonical, constructor_arguments, differing_keys


class ObjectSubject:
    """A class with the arguments to make its objects, and the weight shapes to try them on.

    Args:
        cls: the class.
        init_kwargs: constructor arguments.
        shapes: of weights.
        directory: for files.
    """

    def __init__(
        self, cls: type, init_kwargs: Mapping[str, Any], shapes: tuple[tuple[int, ...], ...], directory: pathlib.Path
    ) -> None:
        self.cls = cls
        self.init_kwargs = dict(init_kwargs)
        self.shapes = shapes
        self.directory = directory

    def make(self, **others: Any) -> Any:
        """A new object of the class; `others` replace arguments."""
        return self.cls(**{**self.init_kwargs, **others})

    def make_unchanged(self, **others: Any) -> Any:
        """The object as a config brings it back."""
        return self.cls.from_config(self.make(**others).get_config())


class Holder(keras.Layer):
    """A layer with one weight that takes no part in its outputs.

    Args:
        weight_shape: of the weight.
        initializer: for it.
        regularizer: for it.
        constraint: for it.
        **kwargs: of `keras.Layer`.
    """

    def __init__(
        self,
        weight_shape: Any,
        initializer: Any = "zeros",
        regularizer: Any = None,
        constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.weight_shape = tuple(weight_shape)
        self.initializer = keras.initializers.get(initializer)
        self.regularizer = keras.regularizers.get(regularizer)
        self.constraint = keras.constraints.get(constraint)

    def build(self, input_shape: Any) -> None:
        self.held = self.add_weight(
            self.weight_shape,
            self.initializer,
            name="held",
            regularizer=self.regularizer,
            constraint=self.constraint,
        )

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "weight_shape": self.weight_shape,
            "initializer": keras.initializers.serialize(self.initializer),
            "regularizer": keras.regularizers.serialize(self.regularizer),
            "constraint": keras.constraints.serialize(self.constraint),
        }


def holding_model(shape: tuple[int, ...], **arguments: Any) -> keras.Model:
    """A model of one `Holder`."""
    return keras.Sequential([keras.Input((1,)), Holder(shape, **arguments)])


@check("get_config and __init__ disagree about a name or the form of a value.")
def config_round_trip(subject: ObjectSubject) -> None:
    """`from_config(get_config())` gives an object with the same config."""
    config = subject.make().get_config()
    keys = differing_keys(config, subject.make_unchanged().get_config())
    if keys:
        raise Mismatch(f"the config changed by get_config and from_config: {', '.join(keys)}.")


@check("get_config does not write the argument, or __init__ does not keep it.")
def config_holds_every_argument(subject: ObjectSubject) -> str:
    """Every constructor argument stands in the config, and the values of `init_kwargs`, none a default, show there."""
    parameters = constructor_arguments(subject.cls)
    config = subject.make().get_config()
    absent = [name for name in parameters if name not in config]
    if absent:
        raise Mismatch(f"constructor arguments that the config lacks: {', '.join(absent)}.")
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty:
            continue
        if canonical(subject.init_kwargs.get(name, parameter.default)) == canonical(parameter.default):
            raise Mismatch(
                f"init_kwargs leaves {name} at its default {parameter.default!r}: a config without it would pass. "
                "Give it another value."
            )
        if canonical(config[name]) == canonical(subject.make(**{name: parameter.default}).get_config()[name]):
            raise Mismatch(f"the config says {name}={config[name]!r} for the value given and for the default alike.")
    return f"{len(parameters)} arguments"


@check(
    "The class is not registered (decorate it with @keras.saving.register_keras_serializable(package=...)), or its "
    "config is not JSON."
)
def class_serialization(subject: ObjectSubject) -> str:
    """The object survives `keras.saving.serialize_keras_object`, JSON text, and back, under "package>Name"."""
    name = keras.saving.get_registered_name(subject.cls)
    if ">" not in name:
        raise Mismatch(f"{subject.cls.__name__} is not registered with Keras under a package.")
    given = subject.make()
    text = json.dumps(keras.saving.serialize_keras_object(given))
    revived = keras.saving.deserialize_keras_object(json.loads(text))
    if type(revived) is not subject.cls or differing_keys(given.get_config(), revived.get_config()):
        raise Mismatch(
            f"{name} came back from JSON as {type(revived).__name__} with the config {revived.get_config()}."
        )
    return name


SERIALIZATION = (config_round_trip, config_holds_every_argument, class_serialization)
