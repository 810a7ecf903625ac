"""The demo's folder: made, tried, and cleared of an earlier demo's files only; a stop keeps what is finished."""

import io
import json

import pytest
from rich.console import Console

from keras_arch.cli.demo import run as demo
from keras_arch.cli.demo import stages
from keras_arch.cli.demo.screen import Screen

pytest.importorskip("sklearn", reason="needs the extra keras-arch[demo]")


@pytest.fixture
def screen():
    return Screen(Console(file=io.StringIO()), Console(file=io.StringIO()))


def test_an_earlier_demo_is_cleared_and_nothing_else(tmp_path):
    (tmp_path / "logs" / "cnn").mkdir(parents=True)
    for name in ("cnn.keras", "mine.keras"):
        (tmp_path / name).write_text("x")
    (tmp_path / "report.json").write_text(json.dumps({"program": demo.PROGRAM, "files": ["cnn.keras", "../escape"]}))
    (tmp_path.parent / "escape").write_text("x")
    demo._prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.keras"]
    assert (tmp_path.parent / "escape").exists()


@pytest.mark.parametrize("report", ["", "[]", "{broken", '{"program": "another", "files": ["mine.keras"]}'])
def test_a_report_of_something_else_is_left_alone(tmp_path, report):
    (tmp_path / "logs").mkdir()
    (tmp_path / "mine.keras").write_text("x")
    (tmp_path / "report.json").write_text(report)
    demo._prepare(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "mine.keras", "report.json"]


def test_an_unwritable_folder_is_an_error_with_its_reason(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        demo.DemoError, match="--out must be a folder that can be written; .*file/below: Not a directory"
    ):
        demo._prepare(tmp_path / "file" / "below")


def test_an_interrupt_writes_the_figures_so_far(tmp_path, monkeypatch, screen):
    def finished(run):
        run.figures["float_accuracy"] = 0.5
        run.file("cnn.keras").write_text("x")

    def stopped(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "STAGES", {"first": finished, "second": stopped})
    assert demo.run_demo(tmp_path, epochs=1, seed=0, screen=screen) == 130
    figures = json.loads((tmp_path / "report.json").read_text())
    assert figures["finished"] == ["first"]
    assert figures["interrupted"] == "second"
    assert figures["float_accuracy"] == 0.5
    said = screen.errors.file.getvalue()
    assert said.startswith("keras-arch: interrupted in the stage 'second'; finished and kept in ")
    assert said.endswith(": cnn.keras, report.json\n")
