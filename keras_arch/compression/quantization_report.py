"""What quantization did to a model, layer by layer, and what the exported file is: frozen numbers."""

import dataclasses
import math
from typing import Any

from keras_arch.core.table import table


@dataclasses.dataclass(frozen=True)
class LayerQuantization:
    """One quantized layer of a `QuantizationReport`.

    Args:
        path: where it stands in the model.
        weight_bits: bits of its kernels, None if it has none.
        activation_bits: bits of the tensors it rounds, None if it rounds none.
        low: lower end of its output's range, None if its output is not rounded or not yet observed.
        high: upper end of that range.
        sqnr_db: signal-to-quantization-noise ratio of its kernels in decibels, None without kernels.
        mean_squared_error: mean squared rounding error of its kernels, None without kernels.
        zeros: share of its rounded kernel values that are exactly 0, None without kernels.
        saturation: share of its kernel values at an end of their grid or beyond, None without kernels. An end that is
            zero does not count.
        activation_sqnr_db: signal-to-quantization-noise ratio of all the tensors it rounds, None if not measured: see
            the samples of `compression.quantization.measure`.
        activation_mean_squared_error: mean squared rounding error of these tensors, None if not measured.
        activation_saturation: share of their values at an end of their grid or beyond, None if not measured.

    >>> ka.compression.LayerQuantization("dense", 8, 8, 0.0, 6.0, 40.0, 1e-5, 0.1).saturation is None
    True
    """

    path: str
    weight_bits: int | None
    activation_bits: int | None
    low: float | None
    high: float | None
    sqnr_db: float | None
    mean_squared_error: float | None
    zeros: float | None
    saturation: float | None = None
    activation_sqnr_db: float | None = None
    activation_mean_squared_error: float | None = None
    activation_saturation: float | None = None


@dataclasses.dataclass(frozen=True)
class OutputGap:
    """How far one output of the file is from the Keras model's, over all samples.

    Args:
        name: the output's name.
        step: distance of neighbouring values of this output; of one left in float, 1/255 of the span of its values.
        max_steps: largest difference, in steps.
        mean_steps: mean absolute difference, in steps.
        argmax_agreement: share of samples whose largest entry along the last axis is the same.
        max_difference: largest difference, in the output's own unit.
        relative_difference: that, over the largest absolute value of Keras's output.
    """

    name: str
    step: float
    max_steps: float
    mean_steps: float
    argmax_agreement: float
    max_difference: float = 0.0
    relative_difference: float = 0.0


@dataclasses.dataclass(frozen=True)
class FloatOperation:
    """An operation of the file that computes in float, and why."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class LiteRTFile:
    """An exported file, as it was read back and run.

    Args:
        path: where it is.
        bytes: its size.
        bytes_gzipped: its size compressed with gzip at level 9.
        float_weight_bytes: size of the same weights at four bytes each.
        kernel_types: type to number of kernels stored so.
        float_ops: operations left in float.
        outputs: how far each output is from Keras's.
        latency_ms: median time of one call on this machine, in milliseconds.
        samples: number of samples that were run.
        mode: what was asked for: bits of weights and activations as in "w8a8", or "float32", "float16", "dynamic".
        activation_types: type to number of tensors that operations compute so.
        batch_size: samples in one call.
    """

    path: str
    bytes: int
    bytes_gzipped: int
    float_weight_bytes: int
    kernel_types: dict[str, int]
    float_ops: tuple[FloatOperation, ...]
    outputs: tuple[OutputGap, ...]
    latency_ms: float
    samples: int
    mode: str = "w8a8"
    activation_types: dict[str, int] = dataclasses.field(default_factory=dict)
    batch_size: int = 1


@dataclasses.dataclass(frozen=True)
class QuantizationReport:
    """What quantization did to a model.

    Args:
        layers: one row for each quantized layer.
        file: the exported file, None where nothing was exported.

    >>> row = ka.compression.LayerQuantization("dense", 8, 8, 0.0, 6.0, 40.0, 1e-5, 0.1, 0.02)
    >>> report = ka.compression.QuantizationReport((row,))
    >>> print(report)
    layer  weights  activations  range   SQNR dB  mean sq. error  at ends
    dense  8 bits   8 bits       [0, 6]  40.0     1.00e-05        2.00 %
    >>> report.to_dict()["layers"][0]["path"]
    'dense'
    """

    layers: tuple[LayerQuantization, ...]
    file: LiteRTFile | None = None

    def _exported(self) -> LiteRTFile:
        if self.file is None:
            raise ValueError(
                "file must be there for this figure; received a report without an export. "
                "Call keras_arch.compression.export_litert(model, path, samples)."
            )
        return self.file

    @property
    def gap_steps(self) -> float:
        """Largest difference between file and Keras model over all outputs, in steps of the output."""
        return max(output.max_steps for output in self._exported().outputs)

    @property
    def mean_gap_steps(self) -> float:
        """Largest mean difference of an output, in steps."""
        return max(output.mean_steps for output in self._exported().outputs)

    @property
    def argmax_agreement(self) -> float:
        """Smallest share, over the outputs, of samples with the same largest entry."""
        return min(output.argmax_agreement for output in self._exported().outputs)

    @property
    def int8_kernels(self) -> float:
        """Share of the kernels in the file that are stored as int8."""
        types = self._exported().kernel_types
        return types.get("int8", 0) / max(1, sum(types.values()))

    @property
    def all_int8(self) -> bool:
        """Whether every kernel is int8 and no operation computes in float."""
        return self.int8_kernels == 1.0 and not self._exported().float_ops

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, ready for JSON."""
        plain = dataclasses.asdict(self)
        plain["layers"] = [{name: _finite(value) for name, value in row.items()} for row in plain["layers"]]
        if self.file is not None:
            plain["file"] |= {"float_ops": list(plain["file"]["float_ops"]), "outputs": list(plain["file"]["outputs"])}
            names = ("gap_steps", "mean_gap_steps", "argmax_agreement", "int8_kernels", "all_int8")
            plain |= {name: getattr(self, name) for name in names}
        return plain

    def __str__(self) -> str:
        heading = ("layer", "weights", "activations", "range", "SQNR dB", "mean sq. error", "at ends")
        rows = [heading, *(_row(layer) for layer in self.layers)]
        if any(layer.activation_saturation is not None for layer in self.layers):
            measured = [("activations' SQNR dB", "mean sq. error", "at ends"), *(_shown(row) for row in self.layers)]
            rows = [(*row, *more) for row, more in zip(rows, measured, strict=True)]
        return "\n".join([*([table(rows)] if self.layers else []), *self._file_lines()])

    def _file_lines(self) -> list[str]:
        if self.file is None:
            return []
        file = self.file
        kernels, activations = _counted(file.kernel_types), _counted(file.activation_types)
        lines = [
            "",
            f"file      {file.path}",
            f"size      {file.bytes} bytes, {file.bytes_gzipped} gzipped, float weights {file.float_weight_bytes}",
            f"mode      {file.mode}",
            f"kernels   {kernels}",
            f"tensors   {activations}",
            f"latency   {file.latency_ms:.3f} ms a call of {file.batch_size}",
        ]
        lines += [
            f"output    {gap.name}: at most {gap.max_steps:.2f} steps from Keras, mean {gap.mean_steps:.4f}, "
            f"at most {gap.max_difference:.2e} ({gap.relative_difference:.1e} of the largest value), "
            f"same argmax {100 * gap.argmax_agreement:.1f} % of {file.samples}"
            for gap in file.outputs
        ]
        return lines + [f"in float  {operation.name}: {operation.reason}" for operation in file.float_ops]


def _counted(types: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(types.items())) or "none"


def _finite(value: Any) -> Any:
    """JSON knows no infinity: a kernel without rounding noise has no ratio."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(layer: LayerQuantization) -> tuple[str, ...]:
    return (
        layer.path,
        "" if layer.weight_bits is None else f"{layer.weight_bits} bits",
        "" if layer.activation_bits is None else f"{layer.activation_bits} bits",
        "" if layer.low is None else f"[{layer.low:.4g}, {layer.high:.4g}]",
        *_noise(layer.sqnr_db, layer.mean_squared_error, layer.saturation),
    )


def _shown(layer: LayerQuantization) -> tuple[str, ...]:
    return _noise(layer.activation_sqnr_db, layer.activation_mean_squared_error, layer.activation_saturation)


def _noise(sqnr_db: float | None, mean_squared_error: float | None, saturation: float | None) -> tuple[str, ...]:
    if sqnr_db is None:
        return "", "", ""
    share = "" if saturation is None else f"{100 * saturation:.2f} %"
    return f"{sqnr_db:.1f}", f"{mean_squared_error:.2e}", share
