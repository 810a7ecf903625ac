"""JSON files hold plain values, and an old file survives a failed write."""

import json
from pathlib import Path

import numpy as np
import pytest

from keras_arch.report import write_json


def test_numbers_arrays_and_paths_become_plain_json(tmp_path):
    figures = {"a": np.float32(0.5), "b": np.arange(3), "c": Path("x") / "y", "d": (1, None, True), "e": {"f": "g"}}
    written = json.loads(write_json(tmp_path / "f.json", figures).read_text())
    assert written == {"a": 0.5, "b": [0, 1, 2], "c": str(Path("x") / "y"), "d": [1, None, True], "e": {"f": "g"}}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("-inf")])
def test_what_json_does_not_have_becomes_null(tmp_path, value):
    assert json.loads(write_json(tmp_path / "f.json", {"v": [value]}).read_text()) == {"v": [None]}


def test_a_value_without_json_form_is_named_and_the_old_file_stays(tmp_path):
    path = write_json(tmp_path / "f.json", {"v": 1})
    with pytest.raises(TypeError, match=r"figures\.w\[1\] must be.*builtins\.object"):
        write_json(path, {"w": [1, object()]})
    assert json.loads(path.read_text()) == {"v": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["f.json"]


def test_a_missing_folder_raises_and_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        write_json(tmp_path / "nowhere" / "f.json", {})
    assert list(tmp_path.iterdir()) == []
