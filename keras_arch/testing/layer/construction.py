"""Checks of the constructor and the config: can the layer be written down and made again?"""

import copy
import inspect
import json
from typing import Any

import keras

from keras_arch.core.check import describe
from keras_arch.testing.layer.check import Mismatch, check
from keras_arch.testing.layer.compare import assert_close
from keras_arch.testing.layer.subject import Subject, copy_variables


def canonical(value: Any) -> str:
    """Write a config value as text that is equal for equal values, objects included."""
    return json.dumps(keras.saving.serialize_keras_object(value), sort_keys=True, default=str)


def differing_keys(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Say which keys of two configs have other values or are missing from one."""
    return sorted(
        key
        for key in {*first, *second}
        if key not in first or key not in second or canonical(first[key]) != canonical(second[key])
    )


def assert_same_layer(first: keras.Layer, second: keras.Layer, how: str) -> None:
    """Compare the configs and the attribute names of a layer and its revived copy."""
    keys = differing_keys(first.get_config(), second.get_config())
    if keys:
        shown = ", ".join(
            f"{key}: {describe(first.get_config().get(key))} became {describe(second.get_config().get(key))}"
            for key in keys[:3]
        )
        raise Mismatch(f"the config changed {how}: {shown}.")
    names = set(dir(first)) ^ set(dir(second)) - {"__annotations__"}
    names -= {"__annotations__"}
    if names:
        raise Mismatch(f"attributes that only one of the two layers has {how}: {', '.join(sorted(names))}.")


def constructor_arguments(layer_class: type) -> dict[str, inspect.Parameter]:
    """Named parameters of the constructors, from the class up to keras.Layer as far as `**kwargs` is handed on."""
    found = {}
    for base in layer_class.__mro__:
        if base is keras.Layer:
            break
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        found |= {one.name: one for one in parameters if one.kind in plain and one.name not in found}
        if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
            break
    return found


def is_lost(subject: Subject, name: str) -> bool:
    """Say whether the config lacks an argument that it should have.

    Keras writes some arguments only when they are set, so a regularizer is tried with one. An inherited argument
    that the constructor fixes itself is no argument of this class.
    """
    value = constructor_arguments(subject.case.layer_class)[name].default
    if name.endswith("_regularizer"):
        value = "l2"
    try:
        return name not in subject.make(**{name: value}).get_config()
    except TypeError:
        return name in inspect.signature(subject.case.layer_class.__init__).parameters


@check("from_config gets a config that __init__ does not take, or get_config stores live or changed values.")
def config_round_trip(subject: Subject) -> None:
    """`from_config(get_config())` gives a layer with the same config and the same attributes."""
    layer = subject.make()
    revived = type(layer).from_config(copy.copy(layer.get_config()))
    assert_same_layer(layer, revived, "by get_config and from_config")


@check(
    "get_config does not write the argument. Write every argument, or name it in unsaved_arguments with the reason why "
    "it may be lost."
)
def config_holds_every_argument(subject: Subject) -> str:
    """Every constructor argument stands in the config, and a value that differs from the default shows there."""
    case, layer = subject.case, subject.make()
    config, given = layer.get_config(), subject.arguments()
    parameters = constructor_arguments(case.layer_class)
    expected = [name for name in {**parameters, **given} if name not in case.unsaved_arguments]
    absent = [name for name in expected if name not in config and (name in given or is_lost(subject, name))]
    if absent:
        raise Mismatch(f"constructor arguments that the config lacks: {', '.join(absent)}.")

    plain = (str, bool, int, float, tuple, type(None))
    for name, parameter in parameters.items():
        default, value = parameter.default, given.get(name, parameter.default)
        if name not in config or not isinstance(default, plain) or not isinstance(value, plain):
            continue
        if canonical(value).lower().replace("_", "") == canonical(default).lower().replace("_", ""):
            continue
        other = subject.make(**{name: default})
        if canonical(config[name]) == canonical(other.get_config()[name]):
            raise Mismatch(
                f"the config says {name}={describe(config[name])} both for {name}={describe(value)} "
                f"and for the default {describe(default)}."
            )
    return f"{len(expected)} arguments"


@check(
    "The class is not registered (decorate it with @keras.saving.register_keras_serializable), or its config is not "
    "JSON, or from_config does not deserialise the objects in it."
)
def class_serialization(subject: Subject) -> None:
    """The layer survives `keras.saving.serialize_keras_object`, JSON text, and back."""
    layer = subject.make()
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    revived = keras.saving.deserialize_keras_object(json.loads(text))
    if type(revived) is not type(layer):
        raise Mismatch(f"serialising gives {describe(type(revived))}, not {describe(type(layer))}.")
    assert_same_layer(layer, revived, "by serialising to JSON and back")


@check("The constructor changes an argument on the way into the config, or state lives outside the variables.")
def revived_layer_agrees(subject: Subject) -> None:
    """A layer made from the config, given the variables of the first, computes the same bits."""
    layer = subject.twin()
    revived = type(layer).from_config(copy.copy(layer.get_config()))
    subject.compute(revived)
    if len(revived.variables) != len(layer.variables):
        raise Mismatch(f"the revived layer has {len(revived.variables)} variables, the first {len(layer.variables)}.")
    copy_variables(layer, revived)
    for training in (False, True):
        got = subject.compute(revived, training=training)
        wanted = subject.compute(layer, training=training)
        assert_close(got, wanted, 0.0, f"revived from config against the first layer, training={training}")


@check("`build` is overridden and still marked as done, or weights are made before the input shape is known.")
def built_at_init(subject: Subject) -> str:
    """Whether the layer counts as built right after construction, as far as the case expects something."""
    expected = subject.case.expect.get("built_at_init")
    built = subject.make().built
    if expected is not None and built is not expected:
        raise Mismatch(f"layer.built is {built} after construction, expected {expected}.")
    if built:
        overridden = type(subject.case.layer_class.__name__, (subject.case.layer_class,), {"build": lambda *_: None})
        if overridden(**subject.arguments()).built:
            raise Mismatch("a subclass that overrides build counts as built after construction.")
    return f"built={built}"


CONSTRUCTION = (config_round_trip, config_holds_every_argument, class_serialization)
