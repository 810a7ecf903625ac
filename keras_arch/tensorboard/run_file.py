"""The one event file that a process writes in a run directory."""

import os
import socket
import threading
import time
import weakref
from collections.abc import MutableMapping
from typing import Any, ClassVar

from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2

from keras_arch.core import check
from keras_arch.tensorboard import layout
from keras_arch.tensorboard.records import record


class RunFile:
    """The one event file that a process writes in a directory, shared by its writers."""

    # One file a directory is a fact about the process, so the process keeps the list: TensorBoard's slow loading mode
    # reads files one after the other and would lose what goes into the first of two that grow at the same time.
    _open: ClassVar[MutableMapping[tuple[int, str], "RunFile"]] = weakref.WeakValueDictionary()
    _open_lock = threading.Lock()
    _serial = 0

    def __init__(self, log_dir: str) -> None:
        self.writers = 0
        self.lock = threading.Lock()
        self.written: dict[str, bytes] = {}  # tag -> its metadata
        # Sorted by name, as TensorBoard reads them, a later file of the same second comes after an earlier one.
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{self._serial:06d}"
        RunFile._serial += 1
        if "://" in log_dir:
            from tensorboard.compat import tf  # TensorFlow where it is installed, TensorBoard's own substitute if not

            tf.io.gfile.makedirs(log_dir)
            self.path = f"{log_dir.rstrip('/')}/{name}"
            self.stream = tf.io.gfile.GFile(self.path, "wb")
        else:
            os.makedirs(log_dir, exist_ok=True)
            self.path = os.path.join(log_dir, name)
            self.stream = open(self.path, "wb", buffering=0)  # noqa: SIM115 (open as long as the writers)
        self.append(file_version="brain.Event:2")

    @classmethod
    def share(cls, log_dir: str) -> "RunFile":
        local = "://" not in log_dir
        key = (os.getpid(), os.path.realpath(log_dir) if local else log_dir.rstrip("/"))
        with cls._open_lock:
            file = cls._open.get(key)
            if file is None or file.stream is None or (local and not os.path.exists(file.path)):
                file = cls._open[key] = cls(log_dir)
            file.writers += 1
            return file

    def release(self) -> None:
        with self._open_lock:
            self.writers -= 1
            if self.writers == 0:
                self.end()

    def end(self) -> None:
        with self.lock:
            stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()

    def __del__(self) -> None:
        if getattr(self, "stream", None) is not None:  # a fit that failed never closed its writer
            self.end()

    def write(self, tag: str, step: int, tensor: tensor_pb2.TensorProto, metadata: summary_pb2.SummaryMetadata) -> None:
        value = summary_pb2.Summary.Value(tag=tag, tensor=tensor)
        described = metadata.SerializeToString(deterministic=True)
        with self.lock:
            known = self.written.get(tag)
            if known is None:
                value.metadata.CopyFrom(metadata)
            elif known != described:
                raise ValueError(
                    f"tag must keep its kind, names and unit within a run; received tag={tag!r} with "
                    f"{_differences(known, metadata)}. Choose another tag, or another log_dir for another model."
                )
            if not self.written:
                # Tells TensorBoard that a restarted run replaces what an earlier file holds: everything if it begins
                # anew, else what lies after its first step, whose state the earlier run wrote down as well.
                begin = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
                self.append(step=step + 1 if step else 0, session_log=begin)
            self.append(step=step, summary=summary_pb2.Summary(value=[value]))
            self.written[tag] = described

    def append(self, **fields: Any) -> None:
        self.stream.write(record(event_pb2.Event(wall_time=time.time(), **fields).SerializeToString()))

    def flush(self) -> None:
        with self.lock:
            self.stream.flush()


def _differences(known: bytes, metadata: summary_pb2.SummaryMetadata) -> str:
    """Say what a tag had before, in a few words."""
    before = summary_pb2.SummaryMetadata.FromString(known)
    if before.plugin_data.plugin_name != metadata.plugin_data.plugin_name:
        return f"data for {metadata.plugin_data.plugin_name!r} after data for {before.plugin_data.plugin_name!r}"
    old, new = (layout.parse_vector(m.plugin_data.content) for m in (before, metadata))
    changed = "names" if old["names"] != new["names"] else "unit"
    return f"{changed}={check.describe(new[changed])} after {changed}={check.describe(old[changed])}"
