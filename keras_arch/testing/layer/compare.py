"""Comparing structures of arrays, with an error that says where and how far apart they are."""

from typing import Any

import keras
import numpy as np

from keras_arch.testing.layer.check import Mismatch

RESOLUTION = {"float16": 2.0**-10, "bfloat16": 2.0**-7}


def to_numpy(structure: Any) -> Any:
    """Turn tensors into arrays; half precision becomes float32, which holds it exactly."""

    def convert(x: Any) -> np.ndarray:
        dtype = keras.backend.standardize_dtype(x.dtype)
        return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32") if dtype in RESOLUTION else x)

    return keras.tree.map_structure(convert, structure)


def value_of(variable: keras.Variable) -> np.ndarray:
    """The value of a variable as an array of its own dtype."""
    return variable.numpy()


def values_of(variables: list[keras.Variable]) -> list[np.ndarray]:
    """The values of variables, in their order."""
    return [value_of(variable) for variable in variables]


def leaves(structure: Any) -> list[tuple[str, Any]]:
    """Name each leaf by its path: "outputs" for a bare one, "outputs[0]" or "outputs['key']" below.

    >>> leaves({"a": 1})
    [("outputs['a']", 1)]
    """
    return [
        ("outputs" + "".join(f"[{step!r}]" for step in path), leaf)
        for path, leaf in keras.tree.flatten_with_path(structure)
    ]


def scale_of(x: np.ndarray) -> float:
    """Largest magnitude in an array, or 1 where that is 0 or there is none."""
    return float(np.max(np.abs(x.astype("float64")), initial=0.0)) or 1.0


def error_of(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference divided by the largest magnitude wanted; infinite where NaN or infinity does not match.

    >>> error_of(np.array([1.0, 5.0]), np.array([1.0, 4.0]))
    0.25
    """
    got, wanted = np.asarray(got).astype("float64"), np.asarray(wanted).astype("float64")
    finite = np.isfinite(wanted)
    if not np.array_equal(got[~finite], wanted[~finite], equal_nan=True) or not np.all(np.isfinite(got[finite])):
        return float("inf")
    return float(np.max(np.abs(got[finite] - wanted[finite]), initial=0.0)) / scale_of(wanted[finite])


def equal(first: Any, second: Any) -> bool:
    """Say whether two structures of arrays are equal bit for bit.

    >>> equal([np.zeros(2)], [np.zeros(2)])
    True
    """
    pairs = zip(keras.tree.flatten(first), keras.tree.flatten(second), strict=True)
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def assert_close(got: Any, wanted: Any, tolerance: float, what: str) -> float:
    """Compare two structures leaf by leaf; return the largest error.

    Args:
        got, wanted: structures of arrays.
        tolerance: largest error relative to the largest magnitude of a leaf; 0 asks for equal bits.
        what: "outputs of A against outputs of B", for the error.
    Raises:
        Mismatch: for another structure, shape, or an error above the tolerance.
    """
    pairs, others = leaves(got), leaves(wanted)
    if [path for path, _ in pairs] != [path for path, _ in others]:
        raise Mismatch(f"{what}: {len(pairs)} arrays against {len(others)}, or arranged otherwise.")
    worst = 0.0
    for (path, left), (_, right) in zip(pairs, others, strict=True):
        left, right = np.asarray(left), np.asarray(right)
        if left.shape != right.shape:
            raise Mismatch(f"{what}: {path} has the shape {left.shape} against {right.shape}.")
        error = error_of(left, right)
        if error > tolerance:
            allowed = f"allowed {tolerance:.2g}" if tolerance else "they must be equal bit for bit"
            raise Mismatch(f"{what}: {path} differs by {error:.3g} of its largest magnitude ({allowed}).")
        worst = max(worst, error)
    return worst
