"""What clustering did to a model, in numbers."""

import dataclasses
import math
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_arch.compression.report import gzipped_bytes
from keras_arch.compression.scope import Target, Targets, select
from keras_arch.core.table import table


@dataclasses.dataclass(frozen=True)
class LayerClusters:
    """One weight of a `ClusteringReport`.

    Args:
        path: path of the layer.
        weight: name of the weight in the layer.
        shape: shape of the weight.
        values: how many different numbers are in it.
        error: mean squared difference to the weight before it was clustered; None where that is not known.
        bytes_raw: bytes it takes in the type it is stored in.
        bytes_gzip: the same compressed as gzip does at level 6, alone; None if not asked for.

    >>> row = ka.compression.LayerClusters("head", "kernel", (100, 10), 16, 1e-4, bytes_raw=4000)
    >>> row.bits, row.bytes_coded
    (4, 564)
    """

    path: str
    weight: str
    shape: tuple[int, ...]
    values: int
    error: float | None
    bytes_raw: int
    bytes_gzip: int | None = None

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """ceil(log2(values)): what the index of a value takes."""
        return max(self.values - 1, 0).bit_length()

    @property
    def bytes_coded(self) -> int:
        """Bytes as an index for each number, of `bits`, and one table of the values in the type of the weight."""
        return math.ceil(self.size * self.bits / 8) + self.values * (self.bytes_raw // max(self.size, 1))


@dataclasses.dataclass(frozen=True)
class ClusteringReport:
    """Values in each clustered weight, and the size of the whole model.

    Args:
        layers: one row for each weight that was clustered, or could be.
        parameters: numbers in all weights of the model.
        bytes_raw: bytes of all weights of the model, in the types they are stored in; no optimizer, no file format.
        bytes_gzip: the same bytes compressed as gzip does; see `SparsityReport`. A Keras file holds all numbers, so
            this is what clustering saves in a compressed download. None if not asked for.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, use_bias=False, name="head")])
    >>> _ = model.layers[0].kernel.assign(np.arange(32).reshape(8, 4) % 4)
    >>> report = ka.compression.cluster(model, clusters=4)
    >>> print(report)  # doctest: +ELLIPSIS
    layer  weight  shape   size  values  bits    error  bytes  gzipped  coded
    head   kernel  (8, 4)    32       4     2  0.0e+00    128      ...     24
    total                    32                0.0e+00    128      ...     24
    32 parameters, 128 bytes, ... bytes gzipped, 24 bytes as indices and values
    """

    layers: tuple[LayerClusters, ...]
    parameters: int
    bytes_raw: int
    bytes_gzip: int | None

    @property
    def size(self) -> int:
        """Numbers in all rows."""
        return sum(layer.size for layer in self.layers)

    @property
    def error(self) -> float | None:
        """Mean squared difference over all numbers in all rows; None where one is not known."""
        if any(layer.error is None for layer in self.layers):
            return None
        return sum(layer.error * layer.size for layer in self.layers) / max(self.size, 1)

    @property
    def bytes_coded(self) -> int:
        """Bytes of the model with the rows as indices and tables of values, and all other weights as they are."""
        return self.bytes_raw - sum(layer.bytes_raw - layer.bytes_coded for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain Python values that JSON can hold."""
        names = ("path", "weight", "size", "values", "bits", "error", "bytes_raw", "bytes_gzip", "bytes_coded")
        rows = [{"shape": list(row.shape)} | {name: getattr(row, name) for name in names} for row in self.layers]
        whole = ("size", "error", "parameters", "bytes_raw", "bytes_gzip", "bytes_coded")
        return {"layers": rows} | {name: getattr(self, name) for name in whole}

    def __str__(self) -> str:
        rows = [("layer", "weight", "shape", "size", "values", "bits", "error", "bytes", "gzipped", "coded")]
        for row in self.layers:
            sizes = (f"{row.size:,}", f"{row.values:,}", str(row.bits), _error(row.error))
            rows.append((row.path, row.weight, str(row.shape), *sizes, *_bytes([row])))
        rows.append(("total", "", "", f"{self.size:,}", "", "", _error(self.error), *_bytes(self.layers)))
        total = f"{self.parameters:,} parameters, {self.bytes_raw:,} bytes"
        if self.bytes_gzip is not None:
            total += f", {self.bytes_gzip:,} bytes gzipped"
        return f"{table(rows, right=range(3, 10))}\n{total}, {self.bytes_coded:,} bytes as indices and values"


def clustering_report(model: keras.Model, targets: Targets = None, gzip: bool = True) -> ClusteringReport:
    """Count the different values of any model's weights, clustered by us, by others, or not at all.

    Args:
        model: a built model.
        targets: which weights get a row, see `compression.scope.select`; None means kernels.
        gzip: whether to compress all weights to see how small they get: a second for some 10 MB and core.
    Raises:
        ValueError: if nothing matches.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, kernel_initializer="ones")])
    >>> ka.compression.clustering_report(model).layers[0].values
    1
    """
    return measure(model, select(model, targets), None, gzip)


def measure(
    model: keras.Model, targets: Iterable[Target], errors: Sequence[float] | None = None, gzip: bool = True
) -> ClusteringReport:
    """Build the report for targets that were found before.

    Args:
        model: a built model.
        targets: those of the rows.
        errors: mean squared difference of each, if it is known.
        gzip: whether to compress.

    >>> from keras_arch.compression.clustering_report import measure
    >>> from keras_arch.compression.scope import select
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> measure(model, select(model)).parameters
    36
    """
    rows = []
    for place, target in enumerate(targets):
        array = np.ascontiguousarray(target.variable.numpy())
        error = None if errors is None else errors[place]
        packed = _gzipped(array) if gzip else None
        shape, name = tuple(array.shape), target.variable.name
        rows.append(LayerClusters(target.path, name, shape, _distinct(array), error, array.nbytes, packed))
    arrays = [weight.numpy() for weight in model.weights]
    raw, parameters = (sum(getattr(array, what) for array in arrays) for what in ("nbytes", "size"))
    return ClusteringReport(tuple(rows), parameters, raw, gzipped_bytes(model) if gzip else None)


def _distinct(array: np.ndarray) -> int:
    """Different numbers of an array; of bfloat16 too, which NumPy can't sort."""
    return np.unique(array if array.dtype.itemsize == 8 else array.astype("float32")).size


def _gzipped(array: np.ndarray) -> int:
    stream = zlib.compressobj(6, wbits=31)
    return len(stream.compress(memoryview(array.reshape(-1).view("uint8")))) + len(stream.flush())


def _bytes(rows: Sequence[LayerClusters]) -> tuple[str, str, str]:
    sums = [[getattr(row, name) for row in rows] for name in ("bytes_raw", "bytes_gzip", "bytes_coded")]
    return tuple("-" if None in numbers else f"{sum(numbers):,}" for numbers in sums)


def _error(error: float | None) -> str:
    return "-" if error is None else f"{error:.1e}"
