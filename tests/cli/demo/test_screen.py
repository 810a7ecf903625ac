"""What the demo prints when its output is not a terminal."""

import io
import re

import keras
import numpy as np
from rich.console import Console

from keras_arch.cli.demo.screen import Screen


def screen() -> tuple[Screen, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Screen(Console(file=out, width=100), Console(file=err, width=100)), out, err


def test_a_finished_stage_is_one_plain_line():
    shown, out, _ = screen()
    with shown.stage("Training", epochs=2) as stage:
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, verbose=0, callbacks=[stage.callback()])
        stage.note = "accuracy [0.5]"
    assert re.fullmatch(r"Training +\d+\.\d s  accuracy \[0\.5\]\n", out.getvalue())


def test_failures_go_to_the_error_stream_unwrapped():
    shown, out, err = screen()
    shown.fail("x" * 300)
    assert err.getvalue() == f"keras-arch: {'x' * 300}\n"
    assert out.getvalue() == ""


def test_a_moving_bar_counts_epochs():
    out = io.StringIO()
    shown = Screen(Console(file=out, width=100, force_terminal=True, color_system=None), Console(file=io.StringIO()))
    with shown.stage("Training", epochs=3) as stage:
        callback = stage.callback()
        callback.on_epoch_end(0, {"loss": 0.25})
        callback.on_epoch_end(1, {"loss": 0.125})
    assert "2/3" in out.getvalue()
    assert "loss 0.125" in out.getvalue()
