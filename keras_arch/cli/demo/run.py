"""Running the demo's stages in order, keeping on disk whatever is finished."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_arch.cli.demo import stages
from keras_arch.cli.demo.data import load_digits
from keras_arch.cli.demo.screen import Screen
from keras_arch.cli.demo.table import closing_table
from keras_arch.report import environment, write_json

REPORT = "report.json"
LOGS = "logs"
PROGRAM = "keras-arch demo"


class DemoError(Exception):
    """Something the demo needs is not there; the message is the one line the user reads."""


def run_demo(out: Path, *, epochs: int, seed: int, screen: Screen) -> int:
    """Run every stage and write what each one makes into `out`.

    Files: cnn.keras, transformer.keras, recurrent.keras, pruned.keras, quantized.keras; float.tflite, pruned.tflite,
    int8.tflite; PNG figures; logs/ for TensorBoard; report.json, rewritten after each stage.

    Args:
        out: folder to write; made if missing. Files of an earlier demo in it are replaced.
        epochs: training epochs of each model; pruning and quantization take a share of it.
        seed: of data division, initial weights and shuffling.
        screen: where progress and the table go.
    Returns:
        0, or 130 when interrupted.
    Raises:
        DemoError: if `out` cannot be written.
        ImportError: if scikit-learn is missing.
    """
    started = time.perf_counter()
    digits = load_digits(seed)
    _prepare(out)
    keras.utils.set_random_seed(seed)
    figures: dict[str, Any] = {"program": PROGRAM, "seed": seed, "epochs": epochs, "versions": environment()}
    figures |= {"seconds": {}, "bytes": {}, "sparsities": {}, "finished": [], "files": []}
    run = stages.Run(out, epochs, digits, figures, screen)
    for name, stage in stages.STAGES.items():
        try:
            _timed(name, stage, run)
        except KeyboardInterrupt:
            return _interrupted(name, run)
        figures["finished"].append(name)
        write_json(out / REPORT, figures)
    figures["seconds"]["total"] = time.perf_counter() - started
    write_json(out / REPORT, figures)
    screen.show(closing_table(figures))
    screen.say(f"Files are in {out}; look at the run with: tensorboard --logdir {out / LOGS}")
    return 0


def _timed(name: str, stage: Callable[[stages.Run], None], run: stages.Run) -> None:
    begin = time.perf_counter()
    stage(run)
    run.figures["seconds"][name] = time.perf_counter() - begin


def _interrupted(name: str, run: stages.Run) -> int:
    run.figures["interrupted"] = name
    write_json(run.out / REPORT, run.figures)
    kept = [*run.figures["files"], REPORT]
    run.screen.fail(f"interrupted in the stage {name!r}; finished and kept in {run.out}: {', '.join(kept)}")
    return 130


def _prepare(out: Path) -> None:
    """Make the folder, clear what an earlier demo left there, and see that a file can be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".keras_arch_{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DemoError(f"--out must be a folder that can be written; {out}: {error.strerror}") from error
    _clear_earlier_run(out)


def _clear_earlier_run(out: Path) -> None:
    """Remove what the report of an earlier demo says it wrote, and nothing else."""
    try:
        earlier = json.loads((out / REPORT).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    if not isinstance(earlier, dict) or earlier.get("program") != PROGRAM:
        return
    for name in (*earlier.get("files", ()), REPORT):
        (out / Path(name).name).unlink(missing_ok=True)
    shutil.rmtree(out / LOGS, ignore_errors=True)
