"""Reads what the event writer wrote, through TensorBoard's data provider."""

import base64
from typing import Any

import numpy as np
from tensorboard import errors
from tensorboard.context import RequestContext
from tensorboard.data.provider import DataProvider, RunTagFilter

from keras_arch.tensorboard import layout
from keras_arch.tensorboard.png import is_png8

# What one answer may hold: 16 MB of float32, far below the 256 MiB at which TensorBoard's data server refuses.
MOST_VALUES = 4_000_000
MOST_STEPS = 10_000


class Reader:
    """Lists and reads vectors and images of one data provider.

    A restarted run can leave two events at one step: the later one counts. Data of another version or another writer
    under our name is left out and counted, never shown half understood.

    Args:
        provider: where TensorBoard keeps its data, in either loading mode.

    >>> from keras_arch.tensorboard.reader import Reader
    >>> Reader(provider=None)  # doctest: +ELLIPSIS
    <keras_arch.tensorboard.reader.Reader object at ...>
    """

    def __init__(self, provider: DataProvider) -> None:
        self._provider = provider

    def listing(self, context: RequestContext, experiment: str) -> dict[str, Any]:
        """Say what there is: vectors with names and unit, images, and how many tags can't be understood."""
        found = {"vectors": [], "images": [], "unreadable": 0}
        series = self._provider.list_tensors(context, experiment_id=experiment, plugin_name=layout.VECTORS)
        for run, tag, summary in _sorted(series):
            description = layout.parse_vector(summary.plugin_content)
            if description is None:
                found["unreadable"] += 1
            else:
                found["vectors"].append({"run": run, "tag": tag, **description})
        series = self._provider.list_blob_sequences(context, experiment_id=experiment, plugin_name=layout.IMAGES)
        found["images"] = [{"run": run, "tag": tag} for run, tag, _ in _sorted(series)]
        return found

    def vector(self, context: RequestContext, experiment: str, run: str, tag: str) -> dict[str, Any]:
        """Read one vector over its steps.

        Returns:
            "names": n texts; "unit": text; "steps": s ascending ints; "values": base64 of little-endian float32,
            shape (s, n), so that NaN and infinities survive JSON; "left_out": events that hold another number of
            values than there are names, as a changed model in the same directory leaves them.
        Raises:
            tensorboard.errors.NotFoundError: if there is no such run or tag.
        """
        where = {
            "experiment_id": experiment,
            "plugin_name": layout.VECTORS,
            "run_tag_filter": RunTagFilter([run], [tag]),
        }
        summary = self._provider.list_tensors(context, **where).get(run, {}).get(tag)
        description = summary and layout.parse_vector(summary.plugin_content)
        if not description:
            raise errors.NotFoundError(f"There is no vector {tag!r} in the run {run!r}.")
        size = len(description["names"])
        most = max(1, min(MOST_STEPS, MOST_VALUES // max(1, size)))
        read = self._provider.read_tensors(context, downsample=most, **where).get(run, {}).get(tag, ())
        fitting = [datum for datum in read if datum.numpy.shape == (size,) and datum.numpy.dtype.kind == "f"]
        kept = _latest(fitting)
        values = np.stack([datum.numpy for datum in kept]) if kept else np.zeros((0, size))
        return {
            **description,
            "steps": [datum.step for datum in kept],
            "values": base64.b64encode(values.astype("<f4").tobytes()).decode(),
            "left_out": len(read) - len(fitting),
        }

    def images(self, context: RequestContext, experiment: str, run: str, tag: str) -> list[dict[str, Any]]:
        """Read which pictures there are: for each step the time it was written and the keys of its blobs.

        Raises:
            tensorboard.errors.NotFoundError: if there is no such run or tag.
        """
        where = {
            "experiment_id": experiment,
            "plugin_name": layout.IMAGES,
            "run_tag_filter": RunTagFilter([run], [tag]),
        }
        read = self._provider.read_blob_sequences(context, downsample=MOST_STEPS, **where).get(run, {}).get(tag)
        if read is None:
            raise errors.NotFoundError(f"There are no images {tag!r} in the run {run!r}.")
        return [
            {"step": datum.step, "time": datum.wall_time, "keys": [blob.blob_key for blob in datum.values]}
            for datum in _latest(read)
        ]

    def blob(self, context: RequestContext, key: str) -> tuple[bytes, str]:
        """Read one blob by its key, and its media type: image/png, or application/json for a manifest.

        Raises:
            tensorboard.errors.NotFoundError: if the key belongs to nothing.
            tensorboard.errors.InvalidArgumentError: if it belongs to something that is not ours to serve.
        """
        try:
            data = self._provider.read_blob(context, blob_key=key)
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # the slow mode takes keys on trust
            raise errors.NotFoundError("There is no blob with this key.") from error
        if is_png8(data):
            return data, "image/png"
        if isinstance(data, bytes) and layout.parse_manifest(data) is not None:
            return data, "application/json"
        raise errors.InvalidArgumentError("The blob with this key is neither a PNG nor a manifest of this version.")


def _sorted(series: dict[str, dict[str, Any]] | None) -> list[tuple[str, str, Any]]:
    return [
        (run, tag, summary) for run, tags in sorted((series or {}).items()) for tag, summary in sorted(tags.items())
    ]


def _latest(data: Any) -> list[Any]:
    """One datum a step, the latest written, in the order of steps."""
    by_step = {datum.step: datum for datum in sorted(data, key=lambda datum: datum.wall_time)}
    return [by_step[step] for step in sorted(by_step)]
