"""What quantization did to a model, layer by layer, and what the exported file is: frozen numbers."""

import dataclasses
import math
from typing import Any

from keras_arch.core.table import table


@dataclasses.dataclass(frozen=True)
class LayerQuantization:
    """One quantized layer.

    Args:
        path: where it stands in the model.
        weight_bits: bits of its kernels, None if it has none.
        activation_bits: bits of the tensors it rounds, None if it rounds none.
        low: lower end of its output's range, None if its output is not rounded or not yet observed.
        high: upper end of that range.
        sqnr_db: signal-to-quantization-noise ratio of its kernels in decibels, None without kernels.
        mean_squared_error: mean squared rounding error of its kernels, None without kernels.
        zeros: share of its rounded kernel values that are exactly 0, None without kernels.
    """

    path: str
    weight_bits: int | None
    activation_bits: int | None
    low: float | None
    high: float | None
    sqnr_db: float | None
    mean_squared_error: float | None
    zeros: float | None


@dataclasses.dataclass(frozen=True)
class OutputGap:
    """How far one output of the file is from the Keras model's, over all samples.

    Args:
        name: the output's name.
        step: distance of neighbouring values of this output; of one left in float, 1/255 of the span of its values.
        max_steps: largest difference, in steps.
        mean_steps: mean absolute difference, in steps.
        argmax_agreement: share of samples whose largest entry along the last axis is the same.
    """

    name: str
    step: float
    max_steps: float
    mean_steps: float
    argmax_agreement: float


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
        latency_ms: median time of one call on this machine, in milliseconds, batch 1.
        samples: number of samples that were run.
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


@dataclasses.dataclass(frozen=True)
class QuantizationReport:
    """What quantization did to a model.

    Args:
        layers: one row for each quantized layer.
        file: the exported file, None where nothing was exported.

    >>> row = ka.compression.quantization_report.LayerQuantization("dense", 8, 8, 0.0, 6.0, 40.0, 1e-5, 0.1)
    >>> report = ka.compression.QuantizationReport((row,))
    >>> print(report)
    layer  weights  activations  range        SQNR dB  mean sq. error
    dense  8 bits   8 bits       [0, 6]       40.0     1.00e-05
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
        rows = [("layer", "weights", "activations", "range", "SQNR dB", "mean sq. error")]
        rows += [_row(layer) for layer in self.layers]
        return "\n".join([table(rows), *self._file_lines()])

    def _file_lines(self) -> list[str]:
        if self.file is None:
            return []
        file = self.file
        kernels = ", ".join(f"{count} {kind}" for kind, count in sorted(file.kernel_types.items())) or "none"
        lines = [
            "",
            f"file      {file.path}",
            f"size      {file.bytes} bytes, {file.bytes_gzipped} gzipped, float weights {file.float_weight_bytes}",
            f"kernels   {kernels}",
            f"latency   {file.latency_ms:.3f} ms",
        ]
        lines += [
            f"output    {gap.name}: at most {gap.max_steps:.2f} steps from Keras, mean {gap.mean_steps:.4f}, "
            f"same argmax {100 * gap.argmax_agreement:.1f} % of {file.samples}"
            for gap in file.outputs
        ]
        return lines + [f"in float  {operation.name}: {operation.reason}" for operation in file.float_ops]


def _finite(value: Any) -> Any:
    """JSON knows no infinity: a kernel without rounding noise has no ratio."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(layer: LayerQuantization) -> tuple[str, ...]:
    return (
        layer.path,
        "" if layer.weight_bits is None else f"{layer.weight_bits} bits",
        "" if layer.activation_bits is None else f"{layer.activation_bits} bits",
        "" if layer.low is None else f"[{layer.low:.4g}, {layer.high:.4g}]",
        "" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}",
        "" if layer.mean_squared_error is None else f"{layer.mean_squared_error:.2e}",
    )
