"""One call that asks a regularizer everything a good one answers."""

import pathlib
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_arch.testing.layer.check import LayerReport, Mismatch, NotApplicable, check
from keras_arch.testing.layer.compare import RESOLUTION, assert_close, to_numpy
from keras_arch.testing.object_checks import file_check, run_object_checks, sparse_weights, value_checks, weight
from keras_arch.testing.serialization import SERIALIZATION, ObjectSubject, holding_model

STEPS = (1e-2, 1e-3, 1e-1)


def check_regularizer(
    regularizer_cls: type[keras.Regularizer],
    init_kwargs: Mapping[str, Any],
    shapes: Iterable[tuple[int, ...]],
    *,
    activity: bool = False,
    skip: Mapping[str, str] | None = None,
    tolerances: Mapping[str, float] | None = None,
    directory: str | pathlib.Path | None = None,
) -> LayerReport:
    """Check a regularizer class: config, registration, values, gradients, precision, compilation, files.

    Args:
        regularizer_cls: the class.
        init_kwargs: constructor arguments. Every argument that has a default must get another value here: only that
            shows whether the config keeps it.
        shapes: of weights to penalize, at least one.
        activity: whether the class is for `activity_regularizer`: shapes are then of outputs, at least two samples
            each, and the check `penalizes_outputs` is made too.
        skip: check name -> reason to leave it out.
        tolerances: check name -> largest error in place of the check's own (`gradient`: relative to the gradient's
            norm; `low_precision`: in resolutions of the dtype).
        directory: where to leave the `.keras` file; nowhere if None.
    Returns:
        LayerReport: checks passed with what was measured, and checks left out with the reason.
    Raises:
        AssertionError: if a check fails; names every failed check, what was compared, and the usual cause.
        ValueError: for a name in skip or tolerances that does not exist.

    >>> print(ka.testing.check_regularizer(ka.regularizers.GroupLasso, {"strength": 0.1, "groups": "input"}, [(3, 4)],
    ...     skip={"jit_compile": "short example", "keras_file": "short example"}))
    GroupLasso: 11 checks passed, 2 left out
      passed    config_round_trip
      passed    config_holds_every_argument (2 arguments)
      passed    class_serialization (keras_arch>GroupLasso)
      ...
    """
    checks = ACTIVITY_CHECKS if activity else CHECKS
    return run_object_checks(regularizer_cls, init_kwargs, shapes, checks, skip, tolerances, directory)


def penalty(regularizer: Any, values: np.ndarray, dtype: str = "float32") -> float:
    """Value of a regularizer."""
    tensor = keras.ops.cast(keras.ops.convert_to_tensor(values), dtype)
    return float(to_numpy(regularizer(tensor)))


def slope(regularizer: Any, values: np.ndarray, *, jit_compile: bool = False) -> np.ndarray:
    """Gradient of a regularizer: what one step of gradient descent at rate 1 takes off a weight of a layer."""
    model = holding_model(values.shape, regularizer=regularizer)
    model.layers[0].set_weights([values])
    model.compile(keras.optimizers.SGD(1.0), jit_compile=jit_compile)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Gradients do not exist for variables")
        model.train_on_batch(np.zeros((1, 1), "float32"))
    return values - to_numpy(model.layers[0].held.value)


@check("__call__ does not sum over everything, or is not a penalty.")
def a_penalty_is_a_scalar(subject: ObjectSubject) -> str:
    """Penalties are finite scalars of a float dtype, and not negative."""
    values = []
    for shape in subject.shapes:
        got = subject.make()(keras.ops.convert_to_tensor(weight(shape)))
        dtype = keras.backend.standardize_dtype(got.dtype)
        if tuple(got.shape) != () or not keras.backend.is_float_dtype(dtype):
            raise Mismatch(f"a weight of the shape {shape} gives {dtype} of the shape {tuple(got.shape)}.")
        values.append(float(to_numpy(got)))
        if not np.isfinite(values[-1]) or values[-1] < 0:
            raise Mismatch(f"a weight of the shape {shape} gives {values[-1]}.")
    return ", ".join(f"{value:.3g}" for value in values)


@check("The penalty measures distance from something else than zero. (Name the check in `skip` if it should.)")
def zero_at_zero(subject: ObjectSubject) -> None:
    """A weight of zeros costs nothing."""
    for shape in subject.shapes:
        got = penalty(subject.make(), np.zeros(shape, "float32"))
        if got != 0:
            raise Mismatch(f"zeros of the shape {shape} cost {got:g}.")


@check("Squares and sums run in half precision. Cast to float32 first.", tolerance=1.0)
def low_precision(subject: ObjectSubject, tolerance: float) -> None:
    """float16 and bfloat16 weights, large ones too, cost what their float32 copies cost; error in resolutions."""
    for shape in subject.shapes:
        for dtype, resolution in RESOLUTION.items():
            for scale in (1.0, 300.0):  # squares above 255 overflow in float16
                values = to_numpy(keras.ops.cast(keras.ops.convert_to_tensor(weight(shape, scale)), dtype))
                got, wanted = (penalty(subject.make(), values, to) for to in (dtype, "float32"))
                what = f"the penalty of {dtype} weights around {scale:g} against float32 for the shape {shape}"
                assert_close(np.array(got), np.array(wanted), tolerance * resolution, what)


@check(
    "A value went around the gradient (NumPy, stop_gradient, rounding), or a custom gradient is wrong.", tolerance=5e-3
)
def gradient(subject: ObjectSubject, tolerance: float) -> str:
    """The gradient agrees with central differences along a random direction; the best step counts."""
    worst = 0.0
    for shape in subject.shapes:
        values, regularizer = weight(shape), subject.make()
        direction = np.random.default_rng(2).standard_normal(shape).astype("float32")
        got = slope(regularizer, values).astype("float64")
        along, norm = (got * direction).sum(), np.linalg.norm(got) or 1.0
        errors = []
        for h in STEPS:
            rise = penalty(regularizer, values + h * direction) - penalty(regularizer, values - h * direction)
            errors.append(abs(rise / (2 * h) - along) / norm)
        if not min(errors) <= tolerance:
            raise Mismatch(
                f"the slope along a random direction differs from central differences by {min(errors):.3g} of the "
                f"gradient's norm (allowed {tolerance:g}) for the shape {shape}."
            )
        worst = max(worst, min(errors))
    return f"error {worst:.1g}"


@check("A root or a quotient has an infinite slope at zero: keep it away from zero by keras.ops.where on both sides.")
def gradient_at_zeros_is_finite(subject: ObjectSubject) -> None:
    """A weight of zeros, and one with half its entries zero along each axis in turn, has a finite gradient."""
    for values in sparse_weights(subject.shapes[0]):
        if not np.isfinite(slope(subject.make(), values)).all():
            raise Mismatch(f"the gradient is not finite where {int((values == 0).sum())} of {values.size} are zero.")


@check("__call__ changes the scale, or can't be called on a variable.")
def penalizes_a_layer(subject: ObjectSubject) -> None:
    """A layer's weight costs what the regularizer says of its values."""
    for shape in subject.shapes:
        model = holding_model(shape, regularizer=subject.make())
        model.layers[0].set_weights([weight(shape)])
        losses = [float(to_numpy(loss)) for loss in model.losses]
        if not np.allclose(losses, [penalty(subject.make(), weight(shape))], rtol=1e-5):
            raise Mismatch(f"a layer with a weight of the shape {shape} has the losses {losses}.")


@check("__call__ turns tensors into Python numbers, or uses an operation that XLA lacks.", tolerance=1e-4)
def jit_compile(subject: ObjectSubject, tolerance: float) -> str:
    """The gradient under jit_compile=True is that of the plain step."""
    if keras.backend.backend() == "torch":
        raise NotApplicable("Keras compiles with XLA on TensorFlow and JAX only")
    values = weight(subject.shapes[0])
    got, wanted = (slope(subject.make(), values, jit_compile=jit) for jit in (True, False))
    return f"error {assert_close(got, wanted, tolerance, 'the gradient under jit_compile=True'):.1g}"


@check("__call__ needs the batch size before it is known, or does not sum over the batch as Keras expects.")
def penalizes_outputs(subject: ObjectSubject) -> None:
    """As `activity_regularizer`, at any batch size, a layer's loss is the regularizer's value over the batch size."""
    for shape in subject.shapes:
        layer = keras.layers.Dense(shape[-1], kernel_initializer="identity", activity_regularizer=subject.make())
        model = keras.Sequential([keras.Input(shape[1:]), layer])
        model.compile()
        for size in (shape[0], shape[0] - 1):
            outputs = weight(shape)[:size]
            got, wanted = model.evaluate(outputs, batch_size=size, verbose=0), penalty(subject.make(), outputs) / size
            assert_close(np.array(got), np.array(wanted), 1e-4, f"the loss of outputs of the shape {outputs.shape}")


CHECKS = (
    *SERIALIZATION,
    a_penalty_is_a_scalar,
    zero_at_zero,
    *value_checks(lambda regularizer, shape: penalty(regularizer, weight(shape))),
    low_precision,
    gradient,
    gradient_at_zeros_is_finite,
    penalizes_a_layer,
    jit_compile,
    file_check("regularizer", lambda model: model.losses, initializer="ones"),
)
ACTIVITY_CHECKS = (*CHECKS, penalizes_outputs)
