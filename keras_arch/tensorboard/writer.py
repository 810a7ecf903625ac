"""Event files: vectors, images and scalars of a run, for TensorBoard."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from tensorboard.compat.proto import summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.plugins.scalar import metadata as scalar_metadata

from keras_arch.core import check
from keras_arch.tensorboard import layout
from keras_arch.tensorboard.png import is_png8
from keras_arch.tensorboard.run_file import RunFile


class EventWriter:
    """Writes what keras_arch shows in TensorBoard into the event file of one run directory.

    Writers of the same directory in one process share one file, so several callbacks may be given the same `log_dir`;
    the file is closed when the last of them closes. `keras.callbacks.TensorBoard(log_dir)` writes to the directories
    `train` and `validation` below and is not disturbed. TensorFlow is not needed for local directories; addresses
    such as "gs://bucket/run" go through TensorBoard's file systems. Local events reach the disk at once: what was
    written survives an exception or a killed process.

    Args:
        log_dir: directory of the run, made if missing.
    Raises:
        ValueError: from the methods, if an argument breaks its rule or the writer is closed.
        OSError: if the directory can't be made or written.

    >>> import os, tempfile
    >>> from keras_arch.tensorboard import EventWriter
    >>> folder = tempfile.mkdtemp()
    >>> with EventWriter(folder) as writer:
    ...     writer.vector("sparsity", [0.5, 0.8], names=["conv", "head"], step=100)
    ...     writer.scalar("sparsity/total", 0.7, step=100)
    >>> os.listdir(folder)[0][:19]
    'events.out.tfevents'
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self.log_dir = os.fspath(log_dir)
        self._file: RunFile | None = RunFile.share(self.log_dir)
        self._vectors: dict[str, tuple[tuple[list[str], str], summary_pb2.SummaryMetadata]] = {}

    def vector(self, tag: str, values: Any, names: Sequence[str], step: int, unit: str = "") -> None:
        """Write one number for each of n named things at one step, such as the sparsity of every layer.

        The names and the unit are stored with the first event of a tag only; 200 layers cost 0.9 kB a step.

        Args:
            tag: what the numbers are, such as "sparsity".
            values: (n,), stored as float32; NaN and infinities are kept.
            names: n texts, such as layer paths; the same ones at every step of a tag.
            step: number of the training step, >= 0.
            unit: unit of the numbers for the axis, such as "dB"; "" for a ratio.
        Raises:
            ValueError: if values and names differ in length, or a tag changes its names, unit or kind.

        >>> import tempfile
        >>> with EventWriter(tempfile.mkdtemp()) as writer:
        ...     writer.vector("quantization/sqnr_db", [31.0, float("inf")], ["conv", "head"], step=0, unit="dB")
        """
        numbers = _numbers("values", values)
        names = (
            list(names) if isinstance(names, list | tuple) else _texts("names", names, "Pass one name for each value.")
        )
        known, metadata = self._vectors.get(_text("tag", tag), (None, None))
        if (names, unit) != known:  # checked once: 200 names cost more than their values
            names = _texts("names", names, "Pass one name for each value.")
            content = layout.dump(names=names, unit=_text("unit", unit))
            metadata = _metadata(layout.VECTORS, content, summary_pb2.DATA_CLASS_TENSOR)
        if not names or numbers.shape != (len(names),):
            raise ValueError(
                f"values must hold one number for each name, at least one; received values of shape {numbers.shape} "
                f"and {len(names)} names. Pass a flat sequence and its names."
            )
        tensor = tensor_pb2.TensorProto(
            dtype=types_pb2.DT_FLOAT, tensor_shape=_shape(len(names)), tensor_content=numbers.tobytes()
        )
        self._write(tag, step, tensor, metadata)
        self._vectors[tag] = ((names, unit), metadata)

    def images(
        self, tag: str, pngs: Sequence[bytes], step: int, labels: Sequence[str] = (), heat: Sequence[bytes] = ()
    ) -> None:
        """Write n pictures at one step, each with the heat map that explains it if there is one.

        Image and heat map are stored apart, so that opacity is chosen while looking. Each event stands by itself:
        the number of pictures and their labels may change from step to step.

        Args:
            tag: what is shown, such as "explanations/GradCAM".
            pngs: n PNG files with 8 bits a channel, see `encode_png`; n >= 1.
            step: number of the training step, >= 0.
            labels: one text for each picture, such as "target 3, predicted 8"; () for none.
            heat: one PNG file with RGB and opacity for each picture, laid over it and stretched to its size;
                () for plain pictures.
        Raises:
            ValueError: if a file is not an 8-bit PNG, the lengths differ, or the tag was used for another kind.

        >>> from keras_arch.tensorboard import encode_png
        >>> grey, red = np.zeros((8, 8), "uint8"), np.full((8, 8, 4), (255, 0, 0, 128), "uint8")
        >>> import tempfile
        >>> with EventWriter(tempfile.mkdtemp()) as writer:
        ...     writer.images("explanations/GradCAM", [encode_png(grey)], step=0, heat=[encode_png(red)])
        """
        pngs, heat = _pngs("pngs", pngs), _pngs("heat", heat)
        labels = _texts("labels", labels, "Pass one text for each picture, or none at all.")
        if not pngs:
            raise check.refuse("pngs", "must hold at least one picture", [], "Pass the bytes of PNG files.")
        for argument, given in (("labels", labels), ("heat", heat)):
            if given and len(given) != len(pngs):
                raise ValueError(
                    f"{argument} must be empty or as long as pngs; received {len(given)} {argument} "
                    f"for {len(pngs)} pngs. Pass one for each picture, or none at all."
                )
        manifest = layout.dump(images=len(pngs), heat=len(heat), labels=labels)
        blobs = [manifest, *pngs, *heat]
        tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=_shape(len(blobs)), string_val=blobs)
        metadata = _metadata(layout.IMAGES, layout.dump(), summary_pb2.DATA_CLASS_BLOB_SEQUENCE)
        self._write(tag, step, tensor, metadata)

    def scalar(self, tag: str, value: Any, step: int) -> None:
        """Write one number at one step, shown on TensorBoard's own Scalars page.

        Args:
            tag: what the number is, such as "sparsity/total".
            value: one number, stored as float32; NaN and infinities are kept.
            step: number of the training step, >= 0.
        Raises:
            ValueError: if value is not one number, or the tag was used for another kind.

        >>> import tempfile
        >>> with EventWriter(tempfile.mkdtemp()) as writer:
        ...     writer.scalar("sparsity/target", 0.8, step=100)
        """
        number = _numbers("value", value)
        if number.size != 1:
            raise ValueError(
                f"value must be one number; received value of shape {number.shape}. Use vector() for many."
            )
        tensor = tensor_pb2.TensorProto(
            dtype=types_pb2.DT_FLOAT, tensor_shape=tensor_shape_pb2.TensorShapeProto(), float_val=[number.item()]
        )
        metadata = scalar_metadata.create_summary_metadata(display_name=None, description=None)
        metadata.data_class = summary_pb2.DATA_CLASS_SCALAR
        self._write(tag, step, tensor, metadata)

    def flush(self) -> None:
        """Hand everything written so far to the file system; local files need it only against a power cut.

        >>> import tempfile
        >>> with EventWriter(tempfile.mkdtemp()) as writer:
        ...     writer.flush()
        """
        self._open_file().flush()

    def close(self) -> None:
        """End this writer; the file is closed with the last writer of the directory. A second call does nothing.

        >>> import tempfile
        >>> writer = EventWriter(tempfile.mkdtemp())
        >>> writer.close()
        """
        file, self._file = self._file, None
        if file is not None:
            file.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def _open_file(self) -> RunFile:
        if self._file is None:
            raise ValueError(f"the writer of {self.log_dir!r} must be open; it was closed. Make a new EventWriter.")
        return self._file

    def _write(
        self, tag: str, step: int, tensor: tensor_pb2.TensorProto, metadata: summary_pb2.SummaryMetadata
    ) -> None:
        if not _text("tag", tag):
            raise check.refuse("tag", "must not be empty", tag, "Name what is shown, such as 'sparsity'.")
        step = check.integer("step", step, minimum=0, maximum=2**63 - 1)
        self._open_file().write(tag, step, tensor, metadata)


def _metadata(plugin: str, content: bytes, data_class: int) -> summary_pb2.SummaryMetadata:
    plugin_data = summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    return summary_pb2.SummaryMetadata(plugin_data=plugin_data, data_class=data_class)


def _shape(size: int) -> tensor_shape_pb2.TensorShapeProto:
    return tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size)])


def _text(argument: str, value: Any) -> str:
    if not isinstance(value, str):
        raise check.refuse(argument, "must be a text", value, "Pass a str.")
    return value


def _texts(argument: str, values: Any, advice: str) -> list[str]:
    texts = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise check.refuse(argument, "must be a sequence of texts", values, advice)
    return texts


def _numbers(argument: str, values: Any) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # 1e300 becomes infinite in float32, which is kept
            return np.asarray(values, dtype="<f4")
    except (TypeError, ValueError) as error:
        raise check.refuse(argument, "must be numbers", values, "Pass floats or an array of them.") from error


def _pngs(argument: str, files: Any) -> list[bytes]:
    listed = [files] if isinstance(files, bytes) or not isinstance(files, Iterable) else list(files)
    for place, file in enumerate(listed):
        if isinstance(files, bytes) or not is_png8(file):
            begin = repr(file[:12]) if isinstance(file, bytes) else check.describe(file)
            raise ValueError(
                f"{argument} must be a sequence of PNG files with 8 bits a channel, as bytes; received at place "
                f"{place} {begin}. Make each with keras_arch.tensorboard.encode_png."
            )
    return listed
