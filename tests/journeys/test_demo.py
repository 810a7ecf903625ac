"""The main job as a user runs it: a process, a folder of files, a table; and what happens when it is stopped."""

import json
import os
import re
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_arch
from keras_arch.cli.demo.data import load_digits

pytest.importorskip("sklearn", reason="needs the extra keras-arch[demo]")
pytestmark = pytest.mark.slow

FILES = {
    "cnn.keras",
    "transformer.keras",
    "recurrent.keras",
    "pruned.keras",
    "quantized.keras",
    "float.tflite",
    "pruned.tflite",
    "int8.tflite",
    "explanations.png",
    "sparsity.png",
}


def start(*words: str, **options) -> subprocess.Popen:
    # What runs in the background of a shell inherits that interrupts are ignored.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from keras_arch.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "demo", *words]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "100"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "run"
    process = start("--out", str(out), "--epochs", "2", "--seed", "7")
    printed, errors = process.communicate(timeout=1500)
    assert process.returncode == 0, errors
    return out, printed, json.loads((out / "report.json").read_text())


def test_every_promised_file_is_written(finished):
    out, _, figures = finished
    assert set(figures["files"]) == FILES
    assert {path.name for path in out.iterdir()} == FILES | {"report.json", "logs"}
    assert (out / "explanations.png").read_bytes().startswith(b"\x89PNG")
    events = {path.parent.relative_to(out / "logs").as_posix() for path in (out / "logs").rglob("*tfevents*")}
    assert {"cnn", "pruning", "quantization"} <= {name.split("/")[0] for name in events}


def test_the_report_has_the_figures_of_this_run(finished):
    _, _, figures = finished
    for key in ("float_accuracy", "pruned_accuracy", "int8_accuracy", "transformer_accuracy", "recurrent_accuracy"):
        assert 0.1 < figures[key] <= 1.0
    assert figures["sparsity"] == pytest.approx(0.8, abs=1e-3)
    assert 0 <= figures["litert_gap_steps"] <= 1.01
    assert 0 <= figures["completeness_error"] < 0.05
    assert figures["seed"] == 7
    assert figures["epochs"] == 2
    assert figures["versions"]["keras"] == keras.__version__
    assert figures["versions"]["keras-arch"] == keras_arch.__version__
    assert figures["bytes"]["int8"]["raw"] < 0.4 * figures["bytes"]["float"]["raw"]
    assert figures["bytes"]["pruned"]["gzipped"] < 0.6 * figures["bytes"]["float"]["gzipped"]


def test_the_table_shows_the_figures_of_the_report(finished):
    _, printed, figures = finished
    for key in ("float_accuracy", "pruned_accuracy", "int8_accuracy", "transformer_accuracy", "recurrent_accuracy"):
        assert f"{figures[key]:.4f}" in printed
    assert f"{figures['bytes']['int8']['raw']:,}" in printed
    assert f"{figures['litert_gap_steps']:.2f} quantization steps" in printed


def test_saved_models_give_the_accuracy_of_the_report(finished):
    out, _, figures = finished
    digits = load_digits(7)
    names = {"cnn": "float_accuracy", "transformer": "transformer_accuracy", "recurrent": "recurrent_accuracy"}
    for name, key in {**names, "pruned": "pruned_accuracy"}.items():
        model = keras.saving.load_model(out / f"{name}.keras")
        logits = model.predict(digits.x_test, batch_size=450, verbose=0)
        assert np.mean(logits.argmax(-1) == digits.y_test) == pytest.approx(figures[key], abs=1e-9)


def test_a_second_run_replaces_its_own_files_and_no_others(finished):
    out, _, _ = finished
    (out / "mine.txt").write_text("keep me")
    from keras_arch.cli.demo.run import _prepare

    _prepare(out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_interrupting_keeps_what_is_finished_and_says_so(tmp_path):
    out = tmp_path / "run"
    process = start("--out", str(out), "--epochs", "400")
    for _ in range(30000):
        if list(out.glob("logs/cnn/**/*tfevents*")) or process.poll() is not None:
            break
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert re.search(r"keras-arch: interrupted in the stage 'cnn'; finished and kept in .*run: report.json", errors)
    assert json.loads((out / "report.json").read_text())["interrupted"] == "cnn"
