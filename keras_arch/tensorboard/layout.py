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
    try:
        found = json.loads(content)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        return None
    names, unit = found.get("names"), found.get("unit")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not isinstance(unit, str):
        return None
    return {"names": names, "unit": unit}
