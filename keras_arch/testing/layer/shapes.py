"""Checks of shapes, dtypes and counts: what is promised before the call, and what the call gives."""

import inspect
import warnings
from typing import Any

import keras
import numpy as np

from keras_arch.testing.layer.check import Mismatch, check
from keras_arch.testing.layer.compare import assert_close, leaves, to_numpy
from keras_arch.testing.layer.subject import Subject, seed_states


def weight_shapes(layer: keras.Layer) -> list[tuple[int, ...]]:
    """Shapes of all weights, in their order."""
    return [tuple(weight.shape) for weight in layer.weights]


def counts(layer: keras.Layer) -> dict[str, int]:
    """Numbers that a case may expect: of weights of both kinds, and of seed generators."""
    return {
        "trainable_weights": len(layer.trainable_weights),
        "non_trainable_weights": len(layer.non_trainable_weights),
        "seed_generators": len(seed_states(layer)),
    }


def assert_specs(specs: Any, outputs: Any, what: str) -> None:
    """Compare symbolic outputs with arrays: structure, every known size, dtype."""
    promised, given = leaves(specs), leaves(outputs)
    if [path for path, _ in promised] != [path for path, _ in given]:
        raise Mismatch(f"{what}: {len(promised)} outputs against {len(given)}, or arranged otherwise.")
    for (path, spec), (_, array) in zip(promised, given, strict=True):
        shape, dtype = tuple(array.shape), keras.backend.standardize_dtype(array.dtype)
        fits = len(spec.shape) == len(shape) and all(a in (None, b) for a, b in zip(spec.shape, shape, strict=True))
        if not fits:
            raise Mismatch(f"{what}: {path} is promised the shape {tuple(spec.shape)} and has {shape}.")
        if keras.backend.standardize_dtype(spec.dtype) != dtype:
            raise Mismatch(f"{what}: {path} is promised the dtype {spec.dtype} and has {dtype}.")


def keras_tensors(subject: Subject, *, dynamic: bool, dtype: str | None = None) -> Any:
    """Symbolic inputs: all sizes fixed, or None wherever the case allows it; floats in the given dtype."""

    def tensor(x: np.ndarray) -> keras.KerasTensor:
        axes = subject.dynamic_axes(x) if dynamic else ()
        shape = tuple(None if axis in axes else size for axis, size in enumerate(x.shape))
        is_float = np.issubdtype(x.dtype, np.floating)
        return keras.KerasTensor(shape, dtype=dtype if dtype and is_float else str(x.dtype))

    return keras.tree.map_structure(tensor, subject.inputs)


@check("The layer raises on the inputs of the case: see the exception.", vital=True)
def can_be_called(subject: Subject) -> None:
    """The layer can be constructed and called on arrays, and gives what the case expects."""
    outputs, expect = subject.outputs, subject.case.expect
    if "output" in expect:
        plain = subject.make()
        assert_close(
            subject.compute(plain), expect["output"], 1e-5, "outputs of a fresh layer against the expected ones"
        )
    if "output_shape" in expect:
        got = keras.tree.map_structure(lambda x: x.shape, outputs)
        if str(got) != str(keras.tree.map_shape_structure(tuple, expect["output_shape"])):
            raise Mismatch(f"outputs have the shape {got}, expected {expect['output_shape']}.")
    if "output_dtype" in expect:
        got = keras.tree.map_structure(lambda x: str(x.dtype), outputs)
        if got != expect["output_dtype"]:
            raise Mismatch(f"outputs have the dtype {got}, expected {expect['output_dtype']}.")
    if "losses" in expect:
        layer = subject.make()
        subject.compute(layer)
        if len(layer.losses) != expect["losses"]:
            raise Mismatch(f"the call adds {len(layer.losses)} losses, expected {expect['losses']}.")


@check("Weights are made in `call`, or sublayers are not built in `build`: saved weights then have nowhere to go.")
def build_creates_every_weight(subject: Subject) -> str:
    """`build(shape)` alone makes every weight that a call makes, and as many as the case expects."""
    layer, called = subject.make(), subject.reference
    arguments, named = subject.shape_arguments(layer.build, subject.shapes)
    with warnings.catch_warnings():
        # Keras warns of a `build` that leaves sublayers unbuilt; the comparison below says it with the shapes.
        warnings.filterwarnings("ignore", message=".*`build\\(\\)` was called on layer")
        layer.build(*arguments, **named)
    if not layer.built:
        raise Mismatch("layer.built is False after build.")
    if weight_shapes(layer) != weight_shapes(called):
        raise Mismatch(f"build makes weights of shapes {weight_shapes(layer)}, a call {weight_shapes(called)}.")
    got = counts(called)
    wrong = {name: n for name, n in got.items() if subject.case.expect.get(name, n) != n}
    if wrong:
        raise Mismatch(f"the layer has {wrong}, expected { ({name: subject.case.expect[name] for name in wrong}) }.")
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in got.items() if n)


@check("compute_output_shape or compute_output_spec was not kept in step with `call`.")
def symbolic_call_agrees(subject: Subject) -> None:
    """Symbolic calls, with fixed and with None sizes, promise the shapes and dtypes that eager calls give."""
    for dynamic in (False, True):
        layer = subject.make()
        specs = subject.call(layer, keras_tensors(subject, dynamic=dynamic))
        sizes = "None sizes" if dynamic else "fixed sizes"
        if weight_shapes(layer) != weight_shapes(subject.reference):
            raise Mismatch(
                f"a symbolic call with {sizes} makes weights of shapes {weight_shapes(layer)}, an eager call "
                f"{weight_shapes(subject.reference)}."
            )
        assert_specs(specs, subject.outputs, f"symbolic call with {sizes} against the eager call")


@check("compute_output_shape was not kept in step with `call`.")
def compute_output_shape_agrees(subject: Subject) -> str | None:
    """`compute_output_shape`, where the class defines it, gives the shapes of the eager call."""
    layer = subject.reference
    if type(layer).compute_output_shape is keras.Layer.compute_output_shape:
        return "left to Keras"
    arguments, named = subject.shape_arguments(layer.compute_output_shape, subject.shapes)
    promised = str(keras.tree.map_shape_structure(tuple, layer.compute_output_shape(*arguments, **named)))
    given = str(keras.tree.map_structure(lambda x: x.shape, subject.outputs))
    if promised != given:
        raise Mismatch(f"compute_output_shape gives {promised}, the call {given}.")
    return None


@check(
    "`call` reads a size as a Python number (x.shape[0]) where it is None in a compiled model: use keras.ops.shape, "
    "or -1 in a reshape. If sizes truly are fixed, say so with dynamic_axes.",
    tolerance=1e-5,
)
def dynamic_dimensions(subject: Subject, tolerance: float) -> str:
    """A compiled model built with None sizes equals the eager layer, at the sizes of the case and at others."""
    layer = subject.make()
    model = subject.functional(layer, dynamic=True)
    if weight_shapes(layer) != weight_shapes(subject.reference):
        raise Mismatch(
            f"with None sizes the weights are {weight_shapes(layer)}, not {weight_shapes(subject.reference)}."
        )
    layer.set_weights(subject.reference.get_weights())
    model.compile(jit_compile=False)
    worst = 0.0
    for inputs, wanted, sizes in (
        (subject.inputs, subject.outputs, "the sizes of the case"),
        (subject.other_sizes(), None, "other sizes"),
    ):
        if wanted is None:
            with subject.unchanged(subject.reference):
                wanted = subject.compute(subject.reference, inputs, training=False)
        got = keras.tree.map_structure(np.asarray, to_numpy_or_keep(model.predict_on_batch(inputs)))
        what = f"compiled model with None sizes against the eager layer at {sizes}"
        worst = max(worst, assert_close(got, wanted, tolerance, what))
    axes = {subject.dynamic_axes(x) for x in keras.tree.flatten(subject.inputs)}
    return f"axes {' and '.join(str(a) for a in sorted(axes))}, error {worst:.1g}"


def to_numpy_or_keep(structure: Any) -> Any:
    """Arrays of a prediction, whatever the backend hands out."""
    return keras.tree.map_structure(lambda x: x if isinstance(x, np.ndarray) else to_numpy(x), structure)


def accepts(function: Any, name: str) -> bool:
    """Say whether a function takes an argument of this name."""
    return name in inspect.signature(function).parameters


SHAPES = (build_creates_every_weight, symbolic_call_agrees, compute_output_shape_agrees, dynamic_dimensions)
