"""Every code block of README does what it says."""

import pathlib
import re
import shlex
import tomllib

import pytest

from keras_arch.cli import command

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
SET_UP = ['pip install ".[all]" && keras-arch demo', 'pip install -e ".[test]" && pytest']


def test_every_block_is_of_a_kind_that_is_run():
    assert {kind for kind, _ in BLOCKS} == {"python", "bash"}


@pytest.mark.slow
def test_python_blocks_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn", reason="needs the extra keras-arch[demo]")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for number, code in enumerate(code for kind, code in BLOCKS if kind == "python"):
        exec(compile(code, f"README.md block {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert "80.0 %" in printed
    assert (tmp_path / "explanations.png").stat().st_size > 10_000
    assert list((tmp_path / "logs").rglob("*tfevents*"))


def test_there_are_exactly_two_set_up_commands():
    commands = [line for kind, code in BLOCKS if kind == "bash" for line in code.splitlines() if "pip install" in line]
    assert commands == SET_UP


def test_shell_blocks_name_real_extras_and_commands():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in [line for kind, code in BLOCKS if kind == "bash" for line in code.splitlines()]:
        for words in map(shlex.split, line.split("&&")):
            if words[0] == "pip":
                (extra,) = re.findall(r"\[(\w+)\]", words[-1])
                assert extra in project["optional-dependencies"]
            elif words[0] == "keras-arch":
                assert "keras-arch" in project["scripts"]
                assert command._parser().parse_args(words[1:]).command == words[1]
            else:
                assert words[0] in {"pytest", "tensorboard"}


def test_pictures_and_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert "://" in target or (ROOT / target).exists(), target
