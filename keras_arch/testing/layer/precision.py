"""Checks of low precision: right dtypes, and errors of a few resolutions at most."""

import keras
import numpy as np

from keras_arch.testing.layer.check import Mismatch, check
from keras_arch.testing.layer.compare import RESOLUTION, error_of, leaves, to_numpy
from keras_arch.testing.layer.shapes import assert_specs, keras_tensors
from keras_arch.testing.layer.subject import Subject


@check("`call` makes a tensor in a fixed dtype, or sublayers are made without dtype=self.dtype_policy.")
def mixed_precision_dtypes(subject: Subject) -> None:
    """Under mixed_float16 and mixed_bfloat16 weights stay float32 and outputs have the compute dtype, as promised."""
    for half in RESOLUTION:
        layer = subject.make(f"mixed_{half}")
        tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, subject.inputs)
        outputs = subject.call(layer, tensors)
        wrong = [w.path for w in layer.weights if keras.backend.is_float_dtype(w.dtype) and w.dtype != "float32"]
        if wrong:
            raise Mismatch(f"under mixed_{half} these weights are not float32: {', '.join(wrong)}.")
        if "output_dtype" not in subject.case.expect:
            for path, x in leaves(outputs):
                dtype = keras.backend.standardize_dtype(x.dtype)
                if keras.backend.is_float_dtype(dtype) and dtype != half:
                    raise Mismatch(f"under mixed_{half} {path} is {dtype}.")
        if keras.backend.backend() == "torch":  # Keras 3.15 does not cast weights in symbolic calls there
            continue
        specs = subject.call(subject.make(f"mixed_{half}"), keras_tensors(subject, dynamic=False, dtype=half))
        assert_specs(specs, outputs, f"symbolic call against the eager call under mixed_{half}")


@check(
    "Phases, norms, softmax, sums or scans run in the compute dtype: compute them in float32 and cast last.",
    tolerance=8.0,
)
def low_precision(subject: Subject, tolerance: float) -> str:
    """Half precision is within a few resolutions of float32 with the same rounded inputs and weights.

    The error is max |half - float32| / max |float32|, in units of the resolution of the dtype (2**-10 for float16,
    2**-7 for bfloat16): a matrix product that accumulates in float32 stays at 1 or 2, a chain of them adds up.
    """
    measured = []
    for half, resolution in RESOLUTION.items():

        def rounded(x: np.ndarray, half: str = half) -> np.ndarray:
            is_float = np.issubdtype(x.dtype, np.floating)
            return to_numpy(keras.ops.cast(keras.ops.convert_to_tensor(x), half)) if is_float else x

        inputs = keras.tree.map_structure(rounded, subject.inputs)
        exact = subject.twin()
        exact.set_weights([rounded(weight) for weight in exact.get_weights()])
        layer = subject.twin(f"mixed_{half}")
        got = subject.compute(layer, inputs, training=False)
        wanted = subject.compute(exact, inputs, training=False)
        worst = 0.0
        for (path, a), (_, b) in zip(leaves(got), leaves(wanted), strict=True):
            error = error_of(a, b) / resolution
            if error > tolerance:
                raise Mismatch(
                    f"{path} in {half} is {error:.3g} resolutions from float32 (allowed {tolerance:g}; one is "
                    f"{resolution:.2g} of the largest magnitude)."
                )
            worst = max(worst, error)
        measured.append(f"{half} {worst:.1f}")
    return f"{', '.join(measured)} resolutions"


PRECISION = (mixed_precision_dtypes, low_precision)
