"""Writing figures as JSON without ever leaving half a file."""

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_arch.core.check import describe


def write_json(path: str | os.PathLike, figures: dict[str, Any]) -> Path:
    """Write figures to a JSON file; the file is either the old one or the new one, never half of it.

    NumPy numbers and arrays become plain numbers and lists, paths become strings. NaN and infinities, which JSON does
    not have, become null.

    Args:
        path: where to write; its folder must exist.
        figures: nested dicts, lists and numbers.
    Returns:
        The path written.
    Raises:
        TypeError: if a value has no JSON form; the message names its key.
        OSError: if the folder is not writable.

    >>> import tempfile, pathlib
    >>> path = ka.report.write_json(pathlib.Path(tempfile.mkdtemp()) / "run.json", {"accuracy": np.float32(0.5)})
    >>> path.read_text()
    '{\\n  "accuracy": 0.5\\n}\\n'
    """
    path = Path(path)
    text = json.dumps(_plain(figures, "figures"), indent=2) + "\n"
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _plain(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{key}[{position}]") for position, item in enumerate(value)]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), key)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{key} must be a number, text, list or dict to be written as JSON; received {describe(value)}.")
