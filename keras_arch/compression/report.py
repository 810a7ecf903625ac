"""What pruning did to a model, in numbers."""

import concurrent.futures
import dataclasses
import os
import zlib
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_arch.compression.positions import positions_of
from keras_arch.compression.scope import Target, Targets, select
from keras_arch.core import optional
from keras_arch.core.table import table
from keras_arch.ops.sparsity import zeros

PIECE = 1 << 22  # bytes compressed by one thread at a time


@dataclasses.dataclass(frozen=True)
class LayerSparsity:
    """One weight of a `SparsityReport`.

    Args:
        path: path of the layer.
        weight: name of the weight in the layer.
        shape: shape of the weight.
        size: how many numbers it has.
        zeros: how many of them are 0.
        positions: places of one sample that each of them is multiplied with, such as the pixels that a convolution
            makes; None where that is not known, see `compression.positions`.

    >>> row = ka.compression.LayerSparsity("conv", "kernel", (3, 3, 1, 8), 72, 36, positions=100)
    >>> row.sparsity, row.flops, row.flops_left
    (0.5, 14400, 7200)
    """

    path: str
    weight: str
    shape: tuple[int, ...]
    size: int
    zeros: int
    positions: int | None = None

    @property
    def sparsity(self) -> float:
        """zeros / size."""
        return self.zeros / self.size if self.size else 0.0

    @property
    def parameters_left(self) -> int:
        """size - zeros."""
        return self.size - self.zeros

    @property
    def flops(self) -> int | None:
        """Multiplications and additions of one sample with all numbers: 2 size positions."""
        return None if self.positions is None else 2 * self.size * self.positions

    @property
    def flops_left(self) -> int | None:
        """Those with the numbers that are not 0, which only what skips zeros saves."""
        return None if self.positions is None else 2 * self.parameters_left * self.positions


@dataclasses.dataclass(frozen=True)
class SparsityReport:
    """Sparsity of each pruned weight, and the size of the whole model.

    Args:
        layers: one row for each weight that was pruned, or could be.
        parameters: numbers in all weights of the model.
        bytes_raw: bytes of all weights of the model, in the types they are stored in; no optimizer, no file format.
        bytes_gzip: the same bytes one after another, compressed as gzip does at level 6, in pieces of 4 MB. Zeros make
            nothing smaller by themselves; this is what they save in a compressed download. None if not asked for.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, use_bias=False, name="head")])
    >>> report = ka.compression.prune(model, 0.5)
    >>> report.sparsity, report.parameters, report.bytes_raw
    (0.5, 32, 128)
    >>> print(report)  # doctest: +ELLIPSIS
    layer  weight  shape   size  zeros  sparsity  FLOPs
    head   kernel  (8, 4)    32     16    50.0 %     64
    total                    32     16    50.0 %     64
    32 parameters, 128 bytes, ... bytes gzipped, 32 of 64 FLOPs without zeros
    """

    layers: tuple[LayerSparsity, ...]
    parameters: int
    bytes_raw: int
    bytes_gzip: int | None

    @property
    def zeros(self) -> int:
        """Zeros in all rows."""
        return sum(layer.zeros for layer in self.layers)

    @property
    def size(self) -> int:
        """Numbers in all rows."""
        return sum(layer.size for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """zeros / size over all rows: of what was pruned, not of the whole model."""
        return self.zeros / self.size if self.size else 0.0

    @property
    def parameters_left(self) -> int:
        """Numbers in all weights of the model, less the zeros in the rows."""
        return self.parameters - self.zeros

    @property
    def flops(self) -> int:
        """Multiplications and additions of one sample in all rows where they are known."""
        return sum(layer.flops or 0 for layer in self.layers)

    @property
    def flops_left(self) -> int:
        """Those with numbers that are not 0."""
        return sum(layer.flops_left or 0 for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain Python values that JSON can hold."""
        rows = [
            {
                "path": layer.path,
                "weight": layer.weight,
                "shape": list(layer.shape),
                "size": layer.size,
                "zeros": layer.zeros,
                "sparsity": layer.sparsity,
                "parameters_left": layer.parameters_left,
                "flops": layer.flops,
                "flops_left": layer.flops_left,
            }
            for layer in self.layers
        ]
        return {
            "layers": rows,
            "sparsity": self.sparsity,
            "size": self.size,
            "zeros": self.zeros,
            "flops": self.flops,
            "flops_left": self.flops_left,
            "parameters": self.parameters,
            "parameters_left": self.parameters_left,
            "bytes_raw": self.bytes_raw,
            "bytes_gzip": self.bytes_gzip,
        }

    def plot(self, **options: Any) -> Any:
        """Draw the zeros of each weight; takes the options of `keras_arch.plots.sparsity` and returns its Axes."""
        return optional.room("plots").sparsity(self, **options)

    def __str__(self) -> str:
        rows = [("layer", "weight", "shape", "size", "zeros", "sparsity", "FLOPs")]
        rows += [(row.path, row.weight, str(row.shape), *_counts(row)) for row in self.layers]
        rows.append(("total", "", "", *_counts(self)))
        total = f"{self.parameters:,} parameters, {self.bytes_raw:,} bytes"
        if self.bytes_gzip is not None:
            total += f", {self.bytes_gzip:,} bytes gzipped"
        if self.flops:
            total += f", {self.flops_left:,} of {self.flops:,} FLOPs without zeros"
        return f"{table(rows, right=(3, 4, 5, 6))}\n{total}"


def sparsity_report(model: keras.Model, targets: Targets = None, gzip: bool = True) -> SparsityReport:
    """Measure the sparsity of any model, pruned by us, by others, or not at all.

    Args:
        model: a built model.
        targets: which weights get a row, see `compression.scope.select`; None means kernels.
        gzip: whether to compress all weights to see how small they get: a second for some 30 MB and core.
    Raises:
        ValueError: if nothing matches.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, kernel_initializer="zeros")])
    >>> ka.compression.sparsity_report(model).sparsity
    1.0
    """
    return measure(model, select(model, targets), gzip)


def measure(model: keras.Model, targets: Iterable[Target], gzip: bool = True) -> SparsityReport:
    """Build the report for targets that were found before.

    >>> from keras_arch.compression.scope import select
    >>> from keras_arch.compression.report import measure
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> measure(model, select(model)).parameters
    36
    """
    places = positions_of(model)
    rows = []
    for target in targets:
        variable, positions = target.variable, places.get(id(target.variable))
        shape = tuple(variable.shape)
        rows.append(LayerSparsity(target.path, variable.name, shape, target.size, zeros(variable), positions))
    arrays = [weight.numpy() for weight in model.weights]
    raw, parameters = (sum(getattr(array, what) for array in arrays) for what in ("nbytes", "size"))
    return SparsityReport(tuple(rows), parameters, raw, gzipped_bytes(model) if gzip else None)


def recount(report: SparsityReport, targets: Iterable[Target]) -> SparsityReport:
    """Count the zeros of a report anew; what training does not change stays, the bytes gzipped are left out.

    Args:
        report: from `measure`.
        targets: those that it was measured for.

    >>> from keras_arch.compression.scope import select
    >>> from keras_arch.compression.report import measure, recount
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> before = measure(model, select(model), gzip=False)
    >>> _ = ka.compression.prune(model, 0.5)
    >>> before.zeros, recount(before, select(model)).zeros
    (0, 16)
    """
    rows = (
        dataclasses.replace(row, zeros=zeros(target.variable))
        for row, target in zip(report.layers, targets, strict=True)
    )
    return dataclasses.replace(report, layers=tuple(rows), bytes_gzip=None)


def gzipped_bytes(model: keras.Model) -> int:
    """Bytes of all weights in the format of gzip, compressed side by side: zlib lets other threads run.

    >>> from keras_arch.compression.report import gzipped_bytes
    >>> model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100, kernel_initializer="zeros")])
    >>> gzipped_bytes(model) < 200
    True
    """
    arrays = [np.ascontiguousarray(weight.numpy()) for weight in model.weights]

    def size_of(piece: list[memoryview]) -> int:
        stream = zlib.compressobj(6, wbits=31)
        return sum(len(stream.compress(part)) for part in piece) + len(stream.flush())

    pieces: list[list[memoryview]] = [[]]
    room = PIECE
    for array in arrays:
        left = memoryview(array.reshape(-1).view("uint8"))
        while len(left):
            pieces[-1].append(left[:room])
            left, room = left[room:], room - len(pieces[-1][-1])
            if not room:
                pieces.append([])
                room = PIECE
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        return sum(threads.map(size_of, pieces))


def _counts(counted: LayerSparsity | SparsityReport) -> tuple[str, str, str, str]:
    flops = f"{counted.flops:,}" if counted.flops else "-"
    return f"{counted.size:,}", f"{counted.zeros:,}", f"{100 * counted.sparsity:.1f} %", flops
