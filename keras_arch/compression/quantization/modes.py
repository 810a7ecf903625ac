"""What a LiteRT file is asked to be: the types that its kernels and activations may have."""

import dataclasses

import keras

from keras_arch.compression.quantization.phase import prepared_layers, quantized_layers
from keras_arch.core import check

FLOAT_MODES = ("float32", "float16", "dynamic")
# The converter stores kernels with 15 or 255 levels; the three levels of 2 bits are among the 15. Of other widths only
# symmetric grids have their zero among these levels, see `litert_contents.narrow_kernels`.
EXACT_BITS = (2, 4, 8)
# Smaller kernels stay float32 in a dynamic-range file; LiteRT's converter decides so.
SMALLEST_DYNAMIC_KERNEL = 1024


@dataclasses.dataclass(frozen=True)
class Mode:
    """What a file is asked to be.

    Args:
        name: "w8a8", "w4a8", "w8a16" and so on by the bits of weights and activations, or a name of `FLOAT_MODES`.
        kernels: types that kernels may have.
        activations: types that the tensors between operations may have.
    """

    name: str
    kernels: frozenset[str]
    activations: frozenset[str]

    @property
    def integer(self) -> bool:
        """Whether the file computes in integers."""
        return self.name not in FLOAT_MODES


def mode_of(model: keras.Model, name: str | None) -> Mode:
    """The mode that a model is exported in.

    Args:
        model: a quantized model, whose schemes decide, or a float one.
        name: None for a quantized model; for a float one what to make of its kernels, one of `FLOAT_MODES`.
    Raises:
        ValueError: for a name that does not fit the model, or schemes that no LiteRT file has.

    >>> q = ka.compression.quantize(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), weights=4)
    >>> mode_of(q, None).name
    'w4a8'
    """
    if name is None:
        return _mode_of_schemes(model)
    check.one_of("mode", name, FLOAT_MODES)
    if quantized_layers(model):
        raise check.refuse(
            "mode", "must be None for a quantized model, whose schemes decide", name, "Export the float model."
        )
    kernels = {"float32": ["float32"], "float16": ["float16"], "dynamic": ["int8"]}[name]
    return Mode(name, frozenset(kernels), frozenset(["float32"]))


def _mode_of_schemes(model: keras.Model) -> Mode:
    weights, activations = set(), set()
    for path, layer in prepared_layers(model):
        if layer.kernels:
            _require_exportable_weights(path, layer)
            weights.add(layer.weights_scheme.bits)
        if layer.ranges or layer.placement.outputs:
            _require_exportable_activations(path, layer)
            activations.add(layer.activations_scheme.bits)
    counts = ["+".join(map(str, sorted(bits))) for bits in (weights, activations)]
    return Mode(
        name="".join(f"{letter}{count}" for letter, count in zip("wa", counts, strict=True) if count),
        kernels=frozenset("int4" if bits <= 4 else "int8" for bits in weights),
        activations=frozenset(f"int{bits}" for bits in activations),
    )


def _require_exportable_weights(path: str, layer: keras.Layer) -> None:
    scheme = layer.weights_scheme
    if scheme.bits not in EXACT_BITS and not (scheme.symmetric and scheme.narrow):
        raise ValueError(
            f"weights of {scheme.bits} bits must be symmetric and narrow to be exported; those of layer {path!r} are "
            f"not. Train with quantize(model, weights={scheme.bits}) or Scheme({scheme.bits}, narrow=True)."
        )


def _require_exportable_activations(path: str, layer: keras.Layer) -> None:
    scheme = layer.activations_scheme
    if scheme.bits not in (8, 16):
        raise ValueError(
            f"activations must have 8 or 16 bits to be exported; layer {path!r} has {scheme.bits}. "
            "Train with quantize(model, weights=..., activations=8)."
        )
    if scheme.bits == 16 and not scheme.symmetric:
        raise ValueError(
            f"activations of 16 bits must be symmetric to be exported; those of layer {path!r} are not. "
            "Train with quantize(model, activations=16)."
        )
    if scheme.bits == 16 and layer.placement.output_range is not None:
        raise ValueError(
            f"activations of 16 bits must not pass through softmax, sigmoid or tanh, for which LiteRT's converter "
            f"takes 8 bits only; layer {path!r} is one. Leave it in float with quantize(model, exclude=[{path!r}])."
        )
