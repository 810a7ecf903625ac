"""What the checks of initializers, regularizers and constraints share: how they run, and common questions."""

import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_arch.testing.check_layer import opened
from keras_arch.testing.layer.check import (
    Check,
    LayerCheckError,
    LayerReport,
    Mismatch,
    check,
    refuse_unknown,
    run_checks,
)
from keras_arch.testing.layer.compare import assert_close, to_numpy
from keras_arch.testing.layer.construction import constructor_arguments, differing_keys
from keras_arch.testing.layer.files import quiet_variables
from keras_arch.testing.serialization import Holder, ObjectSubject, holding_model


def run_object_checks(
    cls: type,
    init_kwargs: Mapping[str, Any],
    shapes: Iterable[tuple[int, ...]],
    checks: tuple[Check, ...],
    skip: Mapping[str, str] | None,
    tolerances: Mapping[str, float] | None,
    directory: str | pathlib.Path | None,
) -> LayerReport:
    """Run checks of initializers, regularizers or constraints, and raise if one fails."""
    skip, tolerances = skip or {}, tolerances or {}
    refuse_unknown("skip", skip, checks)
    refuse_unknown("tolerances", tolerances, checks)
    shapes = tuple(tuple(shape) for shape in shapes)
    if not shapes:
        raise ValueError("shapes must hold at least one weight shape; received shapes=(). Pass for example [(3, 4)].")
    with opened(directory) as folder:
        keras.utils.set_random_seed(0)
        subject = ObjectSubject(cls, init_kwargs, shapes, folder)
        report, failures = run_checks(cls.__name__, subject, checks, skip=skip, tolerances=tolerances)
    if failures:
        raise LayerCheckError(cls.__name__, failures, len(report.passed) + len(failures))
    return report


def weight(shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
    """The weight that regularizers and constraints are tried on: normal, the same at each call."""
    return (scale * np.random.default_rng(1).standard_normal(shape)).astype("float32")


def sparse_weights(shape: tuple[int, ...]) -> list[np.ndarray]:
    """A weight of zeros, and ones with half the entries zero along the last axis and the one before it."""
    cases = [np.zeros(shape, "float32")]
    for axis in range(-1, -min(len(shape), 2) - 1, -1):
        half = weight(shape)
        np.moveaxis(half, axis, 0)[: (shape[axis] + 1) // 2] = 0
        cases.append(half)
    return cases


def value_checks(
    measure: Callable[[Any, tuple[int, ...]], Any], *, ignored: tuple[str, ...] = ()
) -> tuple[Check, Check]:
    """The checks that arguments show in what an object computes, also after a round trip through the config.

    Args:
        measure: takes an object and a weight shape, returns what the object computes for it.
        ignored: arguments, such as seeds, whose default has no fixed values.
    Returns:
        The checks `every_argument_matters` and `values_survive_the_config`.
    """

    @check("An argument is ignored.")
    def every_argument_matters(subject: ObjectSubject) -> None:
        """Each argument of `init_kwargs` set back to its default changes the values of some shape."""
        for name, parameter in constructor_arguments(subject.cls).items():
            if name in ignored or parameter.default is parameter.empty:
                continue
            given, plain = subject.make(), subject.make(**{name: parameter.default})
            if all(np.allclose(measure(given, shape), measure(plain, shape), rtol=1e-5) for shape in subject.shapes):
                raise Mismatch(f"{name} given and {name}={parameter.default!r} give the same values for every shape.")

    @check("An argument is kept in another form than it was given, and read back as something else.")
    def values_survive_the_config(subject: ObjectSubject) -> None:
        """The object rebuilt from its config gives the same values, bit for bit."""
        for shape in subject.shapes:
            first, second = (measure(one, shape) for one in (subject.make(), subject.make_unchanged()))
            if not np.array_equal(first, second):
                raise Mismatch(f"the values for the shape {shape} changed by get_config and from_config.")

    return every_argument_matters, values_survive_the_config


def file_check(argument: str, effect: Callable[[keras.Model], Any], **others: Any) -> Check:
    """The check that a `.keras` file brings an object back, and that it still does its work.

    Args:
        argument: of `Holder` that takes the object.
        effect: what the object did, as arrays or tensors: takes the model of one `Holder`.
        **others: further arguments of `Holder`.
    """

    @check("The class is not registered, or its config is not JSON.")
    def keras_file(subject: ObjectSubject) -> None:
        """A `.keras` file brings back the object with its config, and a layer in which it does the same."""
        path = subject.directory / f"{subject.cls.__name__}.keras"
        model = holding_model(subject.shapes[0], **{argument: subject.make()}, **others)
        with quiet_variables():
            model.save(path)
        loaded = keras.saving.load_model(path, custom_objects={"Holder": Holder})
        config = getattr(loaded.layers[0], argument).get_config()
        if differing_keys(config, subject.make().get_config()):
            raise Mismatch(f"the loaded {argument} has the config {config}.")
        assert_close(to_numpy(effect(loaded)), to_numpy(effect(model)), 0.0, f"what the loaded {argument} does")

    return keras_file
