"""One call that asks a weight constraint everything a good one answers."""

import pathlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_arch.core.check import one_of
from keras_arch.testing.layer.check import LayerReport, Mismatch, NotApplicable, check
from keras_arch.testing.layer.compare import RESOLUTION, assert_close, to_numpy
from keras_arch.testing.object_checks import file_check, run_object_checks, sparse_weights, value_checks, weight
from keras_arch.testing.serialization import SERIALIZATION, ObjectSubject, holding_model


def check_constraint(
    constraint_cls: type[keras.constraints.Constraint],
    init_kwargs: Mapping[str, Any],
    shapes: Iterable[tuple[int, ...]],
    *,
    declares: Collection[str] = (),
    skip: Mapping[str, str] | None = None,
    tolerances: Mapping[str, float] | None = None,
    directory: str | pathlib.Path | None = None,
) -> LayerReport:
    """Check a weight constraint class: config, registration, values, precision, training, compilation, files.

    Args:
        constraint_cls: the class.
        init_kwargs: constructor arguments. Every argument that has a default must get another value here: only that
            shows whether the config keeps it.
        shapes: of weights to constrain, at least one.
        declares: what the class promises beyond: "idempotent" (a second call changes nothing: projections),
            "nonexpansive" (no two weights move apart: projections onto convex sets, proximal steps). Each is a check.
        skip: check name -> reason to leave it out.
        tolerances: check name -> largest error in place of the check's own, relative to the largest magnitude
            (`low_precision`: in resolutions of the dtype).
        directory: where to leave the `.keras` file; nowhere if None.
    Returns:
        LayerReport: checks passed with what was measured, and checks left out with the reason.
    Raises:
        AssertionError: if a check fails; names every failed check, what was compared, and the usual cause.
        ValueError: for a name in declares, skip or tolerances that does not exist.

    >>> print(ka.testing.check_constraint(ka.constraints.ProximalL1, {"strength": 1.0, "learning_rate": 0.1}, [(3, 4)],
    ...     skip={"jit_compile": "short example", "keras_file": "short example"}))
    ProximalL1: 10 checks passed, 2 left out
      passed    config_round_trip
      passed    config_holds_every_argument (2 arguments)
      passed    class_serialization (keras_arch>ProximalL1)
      ...
    """
    promised = [PROMISES[one_of("declares", name, PROMISES)] for name in declares]
    return run_object_checks(constraint_cls, init_kwargs, shapes, (*CHECKS, *promised), skip, tolerances, directory)


def constrained(constraint: Any, values: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """A weight after the constraint."""
    return to_numpy(constraint(keras.ops.cast(keras.ops.convert_to_tensor(values), dtype)))


def expected(subject: ObjectSubject, shape: tuple[int, ...]) -> np.ndarray:
    """What `trained` must give, computed step by step outside of training."""
    values = weight(shape)
    for _ in range(2):
        values = constrained(subject.make(), values * np.float32(0.9))
    return values


def trained(constraint: Any, values: np.ndarray, *, jit_compile: bool = False) -> np.ndarray:
    """A layer's weight after two training steps, each of which makes it 0.9 times what it was and constrains it."""
    model = holding_model(values.shape, regularizer=keras.regularizers.L2(0.05), constraint=constraint)
    model.layers[0].set_weights([values])
    model.compile(keras.optimizers.SGD(1.0), jit_compile=jit_compile)
    model.fit(np.zeros((2, 1), "float32"), batch_size=1, verbose=0)
    return to_numpy(model.layers[0].held.value)


@check("__call__ reduces the weight, or returns another dtype.")
def shapes_and_dtypes(subject: ObjectSubject) -> None:
    """The result has the weight's shape and dtype and is finite."""
    for shape in subject.shapes:
        for dtype in ("float32", *RESOLUTION):
            given = keras.ops.cast(keras.ops.convert_to_tensor(weight(shape)), dtype)
            result = subject.make()(given)
            got = keras.backend.standardize_dtype(result.dtype)
            if tuple(result.shape) != shape or got != dtype:
                raise Mismatch(f"a {dtype} weight of the shape {shape} gives {got} of the shape {tuple(result.shape)}.")
            if not np.isfinite(to_numpy(result)).all():
                raise Mismatch(f"a {dtype} weight of the shape {shape} gives values that are not finite.")


@check("Something is divided by a norm. Keep it away from zero.")
def finite_at_zeros(subject: ObjectSubject) -> None:
    """A weight of zeros, and one with half its entries zero along an axis, stays finite."""
    for shape in subject.shapes:
        for values in sparse_weights(shape):
            if not np.isfinite(constrained(subject.make(), values)).all():
                raise Mismatch(f"the result is not finite where {int((values == 0).sum())} of {values.size} are zero.")


@check("State is kept in the object: compiled steps keep what it was when they were traced.")
def same_weight_same_result(subject: ObjectSubject) -> None:
    """Two calls of one object give the same."""
    for shape in subject.shapes:
        one = subject.make()
        if not np.array_equal(constrained(one, weight(shape)), constrained(one, weight(shape))):
            raise Mismatch(f"two calls differ for the shape {shape}.")


@check("Squares and sums run in half precision. Cast to float32 first, and back last.", tolerance=1.0)
def low_precision(subject: ObjectSubject, tolerance: float) -> None:
    """float16 and bfloat16 weights, large ones too, become what their float32 copies become; error in resolutions."""
    for shape in subject.shapes:
        for dtype, resolution in RESOLUTION.items():
            for scale in (1.0, 300.0):  # squares above 255 overflow in float16
                values = to_numpy(keras.ops.cast(keras.ops.convert_to_tensor(weight(shape, scale)), dtype))
                got, wanted = (constrained(subject.make(), values, to) for to in (dtype, "float32"))
                what = f"{dtype} weights around {scale:g} against float32 for the shape {shape}"
                assert_close(got, wanted, tolerance * resolution, what)


@check("__call__ can't be called on a variable, or depends on how often it was called.", tolerance=1e-5)
def constrains_a_layer(subject: ObjectSubject, tolerance: float) -> None:
    """In a fit, each optimizer step ends with the constraint."""
    for shape in subject.shapes:
        got = trained(subject.make(), weight(shape))
        assert_close(got, expected(subject, shape), tolerance, f"the weight of the shape {shape} after two steps")


@check("__call__ turns tensors into Python numbers, or uses an operation that XLA lacks.", tolerance=1e-4)
def jit_compile(subject: ObjectSubject, tolerance: float) -> str:
    """Under jit_compile=True, each optimizer step ends with the constraint too."""
    if keras.backend.backend() == "torch":
        raise NotApplicable("Keras compiles with XLA on TensorFlow and JAX only")
    shape = subject.shapes[0]
    got = trained(subject.make(), weight(shape), jit_compile=True)
    return (
        f"error {assert_close(got, expected(subject, shape), tolerance, 'weights trained under jit_compile=True'):.1g}"
    )


@check("The constraint goes a part of the way, as a proximal step does: don't declare it idempotent.", tolerance=1e-5)
def idempotent(subject: ObjectSubject, tolerance: float) -> None:
    """What is constrained already stays as it is."""
    for shape in subject.shapes:
        once = constrained(subject.make(), weight(shape))
        assert_close(constrained(subject.make(), once), once, tolerance, f"twice against once for the shape {shape}")


@check("The constraint scales up, or projects onto a set that is not convex: don't declare it nonexpansive.")
def nonexpansive(subject: ObjectSubject) -> str:
    """No two weights, near or far from each other, are further apart after than before."""
    largest = 0.0
    for shape in subject.shapes:
        noise = np.random.default_rng(2)
        for apart in (0.01, 0.1, 1.0, 10.0):
            for scale in (0.1, 1.0):
                first = weight(shape, scale)
                second = first + apart * scale * noise.standard_normal(shape).astype("float32")
                after = constrained(subject.make(), first) - constrained(subject.make(), second)
                ratio = float(np.linalg.norm(after) / np.linalg.norm(first - second))
                if ratio > 1 + 1e-3:
                    raise Mismatch(f"two weights of the shape {shape} came {ratio:.3g} times as far apart as before.")
                largest = max(largest, ratio)
    return f"largest ratio {largest:.3g}"


def effect(model: keras.Model) -> Any:
    """The weight of a `Holder` after its own constraint."""
    held = model.layers[0].held
    return held.constraint(held)


CHECKS = (
    *SERIALIZATION,
    shapes_and_dtypes,
    finite_at_zeros,
    same_weight_same_result,
    *value_checks(lambda constraint, shape: constrained(constraint, weight(shape))),
    low_precision,
    constrains_a_layer,
    jit_compile,
    file_check("constraint", effect, initializer="ones"),
)
PROMISES = {one.name: one for one in (idempotent, nonexpansive)}
