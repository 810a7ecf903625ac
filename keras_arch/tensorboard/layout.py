"""How keras_arch's data lies in an event file: what the writer writes and the plugin reads.

Vectors: plugin data `VECTORS`, data class tensor, one float32 tensor of shape (n,) an event. The metadata of a tag's
first event holds JSON: {"version": 1, "names": [n texts], "unit": text}.

Images: plugin data `IMAGES`, data class blob sequence, one rank-1 string tensor an event. Every event explains itself:
    blob 0            manifest, JSON: {"version": 1, "images": n, "heat": n or 0, "labels": [n texts or none]}
    blobs 1 … n       the images, 8-bit PNG
    blobs n+1 … 2n    the heat maps to be laid over them, 8-bit PNG, present if "heat" is not 0

Two names, because TensorBoard limits the number of kept events by plugin name and an image weighs more than a vector.
"""

import json
from typing import Any

VECTORS = "keras_arch"
IMAGES = "keras_arch_images"
VERSION = 1


def dump(**content: Any) -> bytes:
    """Write metadata or a manifest of this version.

    >>> dump(unit="dB")
    b'{"version": 1, "unit": "dB"}'
    """
    return json.dumps({"version": VERSION, **content}).encode()


def parse_vector(content: bytes) -> dict[str, Any] | None:
    """Read a vector's metadata; None if it is not of this format, as in a file of a foreign or later writer.

    >>> parse_vector(dump(names=["a"], unit="")), parse_vector(b"?")
    ({'names': ['a'], 'unit': ''}, None)
    """
    found = _parse(content)
    if found is None or not _are_texts(found.get("names")) or not isinstance(found.get("unit"), str):
        return None
    return {"names": found["names"], "unit": found["unit"]}


def parse_manifest(blob: bytes) -> dict[str, Any] | None:
    """Read the first blob of an images event; None if it is not of this format.

    >>> parse_manifest(dump(images=1, heat=1, labels=["a"]))
    {'images': 1, 'heat': 1, 'labels': ['a']}
    """
    found = _parse(blob)
    if found is None:
        return None
    images, heat, labels = found.get("images"), found.get("heat"), found.get("labels")
    if type(images) is not int or images < 1 or type(heat) is not int or heat not in (0, images):
        return None
    if not _are_texts(labels) or len(labels) not in (0, images):
        return None
    return {"images": images, "heat": heat, "labels": labels}


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("version") == VERSION else None


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
