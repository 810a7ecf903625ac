"""The command's words, exit codes and one-line errors."""

import sys

import pytest

import keras_arch
from keras_arch.cli import main


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["demo", "--epochs", "0"],
        ["demo", "--epochs", "-3"],
        ["demo", "--epochs", "2.5"],
        ["demo", "--seed", "x"],
        ["demo", "--seed", str(2**32)],
    ],
)
def test_wrong_usage_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert "usage: keras-arch" in capsys.readouterr().err


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--help"])
    assert stop.value.code == 0
    assert "keras-arch demo --out my_run" in capsys.readouterr().out


def test_version_is_the_package_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == f"keras-arch {keras_arch.__version__}"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="needs the extra keras-arch[demo]")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert main(["demo", "--out", str(blocked / "below")]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("keras-arch: --out must be a folder that can be written; ")
    assert blocked.read_text() == "not a folder"


def test_a_missing_extra_is_one_line_with_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert main(["demo", "--out", str(tmp_path / "out")]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines == [
        "keras-arch: Loading the digits needs the package 'sklearn'. Install it with: pip install 'keras-arch[demo]'"
    ]
    assert not (tmp_path / "out").exists()
