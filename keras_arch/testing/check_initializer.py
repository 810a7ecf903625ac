"""One call that asks an initializer everything a good initializer answers."""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_arch.testing.layer.check import LayerReport, Mismatch, NotApplicable, check
from keras_arch.testing.layer.compare import RESOLUTION, assert_close, to_numpy
from keras_arch.testing.layer.construction import constructor_arguments
from keras_arch.testing.object_checks import file_check, run_object_checks, value_checks
from keras_arch.testing.serialization import SERIALIZATION, ObjectSubject, holding_model


def check_initializer(
    initializer_cls: type[keras.Initializer],
    init_kwargs: Mapping[str, Any],
    shapes: Iterable[tuple[int, ...]],
    *,
    skip: Mapping[str, str] | None = None,
    tolerances: Mapping[str, float] | None = None,
    directory: str | pathlib.Path | None = None,
) -> LayerReport:
    """Check an initializer class: config, registration, seeds, precision, compilation, use in a layer, files.

    Args:
        initializer_cls: the class.
        init_kwargs: constructor arguments. Every argument that has a default must get another value here (an int for
            `seed`): only that shows whether the config keeps it.
        shapes: of weights to draw, at least one.
        skip: check name -> reason to leave it out.
        tolerances: check name -> largest error in place of the check's own, relative to the largest magnitude.
        directory: where to leave the `.keras` file; nowhere if None.
    Returns:
        LayerReport: checks passed with what was measured, and checks left out with the reason.
    Raises:
        AssertionError: if a check fails; names every failed check, what was compared, and the usual cause.
        ValueError: for a name in skip or tolerances that does not exist.

    Half precision weights must be the rounded float32 ones: draw in float32 and cast last, or name
    "low_precision_is_rounded_float32" in `skip`. Keras's own initializers draw other values for each dtype.

    >>> print(ka.testing.check_initializer(ka.initializers.DeltaOrthogonal, {"gain": 2.0, "seed": 1}, [(3, 2, 4)],
    ...     skip={"jit_compile": "short example", "keras_file": "short example"}))
    DeltaOrthogonal: 10 checks passed, 2 left out
      passed    config_round_trip
      passed    config_holds_every_argument (2 arguments)
      passed    class_serialization (keras_arch>DeltaOrthogonal)
      ...
    """
    return run_object_checks(initializer_cls, init_kwargs, shapes, CHECKS, skip, tolerances, directory)


def draw(initializer: Any, shape: tuple[int, ...], dtype: str | None = "float32") -> np.ndarray:
    """Values as an array, half precision as float32."""
    return to_numpy(initializer(shape, dtype=dtype))


def differ(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether any entry differs."""
    return first.shape != second.shape or bool((first != second).any())


@check("__call__ ignores shape or dtype, or divides by zero.")
def shapes_and_dtypes(subject: ObjectSubject) -> str:
    """Values are finite and have the shape and dtype asked for; without a dtype, Keras's floatx."""
    for shape in subject.shapes:
        for dtype in (None, "float32", *RESOLUTION):
            values = subject.make()(shape, dtype=dtype)
            wanted = dtype or keras.config.floatx()
            got = keras.backend.standardize_dtype(values.dtype)
            if tuple(values.shape) != shape or got != wanted:
                raise Mismatch(f"asked for {shape} {wanted}, got {tuple(values.shape)} {got}.")
            if not np.isfinite(to_numpy(values)).all():
                raise Mismatch(f"values of {shape} {wanted} are not finite.")
    return f"{len(subject.shapes)} shapes"


@check("Values are drawn in half precision. Draw in float32, cast last.", tolerance=1.0)
def low_precision_is_rounded_float32(subject: ObjectSubject, tolerance: float) -> None:
    """float16 and bfloat16 values are the float32 values of the same seed, rounded; error in resolutions."""
    for shape in subject.shapes:
        exact = draw(subject.make(), shape)
        for dtype, resolution in RESOLUTION.items():
            got = draw(subject.make(), shape, dtype)
            assert_close(got, exact, tolerance * resolution, f"{dtype} against float32 for the shape {shape}")


@check("A random state of the process is used instead of the seed, or state is kept in the object.")
def same_seed_same_values(subject: ObjectSubject) -> None:
    """Two objects with the same arguments, and one called twice, give the same values."""
    for shape in subject.shapes:
        one = subject.make()
        first = draw(one, shape)
        if differ(first, draw(one, shape)):
            raise Mismatch(f"two calls of one object differ for the shape {shape}.")
        if differ(first, draw(subject.make(), shape)):
            raise Mismatch(f"two objects with the same arguments differ for the shape {shape}.")


@check("The seed is fixed, or not used.")
def other_seed_other_values(subject: ObjectSubject) -> None:
    """Other seeds give other values, and so do two objects with seed=None."""
    if "seed" not in constructor_arguments(subject.cls):
        raise NotApplicable("has no seed")
    shape = subject.shapes[0]
    if not differ(draw(subject.make(seed=1), shape), draw(subject.make(seed=2), shape)):
        raise Mismatch("seed=1 and seed=2 give the same values.")
    if not differ(draw(subject.make(seed=None), shape), draw(subject.make(seed=None), shape)):
        raise Mismatch("two objects with seed=None give the same values.")


@check("__call__ does not take what a layer passes.")
def initializes_a_layer(subject: ObjectSubject) -> None:
    """A layer's weight gets the values."""
    for shape in subject.shapes:
        weight = holding_model(shape, initializer=subject.make()).layers[0].held
        if differ(to_numpy(weight.value), draw(subject.make(), shape)):
            raise Mismatch(f"the weight of a layer has other values than the initializer gives for the shape {shape}.")


class Drawing(keras.Model):
    """Draws the values of an initializer inside its compiled step."""

    def __init__(self, initializer: Any, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.draw = lambda: initializer(shape, dtype="float32")

    def call(self, inputs: Any) -> Any:
        return keras.ops.reshape(self.draw(), (1, -1)) + 0 * inputs


@check("__call__ turns tensors into Python numbers, or uses an operation that XLA lacks.", tolerance=1e-5)
def jit_compile(subject: ObjectSubject, tolerance: float) -> str:
    """Values under jit_compile=True are those drawn eagerly; random ones, which XLA draws otherwise, are finite."""
    if keras.backend.backend() == "torch":
        raise NotApplicable("Keras compiles with XLA on TensorFlow and JAX only")
    shape = subject.shapes[0]
    model = Drawing(subject.make(), shape)
    model.compile(jit_compile=True)
    got = model.predict(np.zeros((1, 1), "float32"), verbose=0).reshape(shape)
    if "seed" in constructor_arguments(subject.cls):
        if not np.isfinite(got).all():
            raise Mismatch("values under jit_compile=True are not finite.")
        return "finite; noise under XLA is other noise"
    error = assert_close(got, draw(subject.make(), shape), tolerance, "values under jit_compile=True against eager")
    return f"error {error:.1g}"


CHECKS = (
    *SERIALIZATION,
    shapes_and_dtypes,
    low_precision_is_rounded_float32,
    same_seed_same_values,
    other_seed_other_values,
    *value_checks(draw, ignored=("seed",)),
    initializes_a_layer,
    jit_compile,
    file_check("initializer", lambda model: model.layers[0].held.value),
)
