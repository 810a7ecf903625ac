"""The plugin's page in real Chromium, under TensorBoard's own content policy."""

import json
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browser.application import application
from werkzeug.serving import make_server

from keras_arch.tensorboard import EventWriter, encode_png

HOSTILE = '<img src=x onerror="alert(1)">'
BLUE, VERMILION = "0,114,178", "213,94,0"  # the first two lines
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium():
    """Path of the browser; skips with what is missing."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return pytest.skip("needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def node():
    """Command and environment that run a script with playwright-core; skips with what is missing."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs Node.js and npm: apt-get install nodejs npm")
    everywhere = subprocess.run(["npm", "root", "--global"], capture_output=True, text=True, check=True).stdout.strip()
    paths = os.pathsep.join(filter(None, [os.environ.get("NODE_PATH"), everywhere]))
    environment = {**os.environ, "NODE_PATH": paths}
    found = subprocess.run(["node", "-e", "require.resolve('playwright-core')"], env=environment, capture_output=True)
    if found.returncode:
        pytest.skip("needs playwright-core: npm install --global playwright-core")
    return environment


@contextmanager
def served(log_dir):
    server = make_server("127.0.0.1", 0, application(log_dir), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/data/plugin_entry.html?name=keras_arch"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_logs(log_dir):
    rng = np.random.default_rng(0)
    names = ["conv", "head", HOSTILE]
    for run, final in (("pruned", 0.8), (HOSTILE.replace("/", ""), 0.5)):
        with EventWriter(log_dir / run) as writer:
            for step in range(0, 101, 10):
                values = [final * step / 100, step / 100, np.nan if step < 50 else 0.25]
                writer.vector("sparsity", values, names, step)
                writer.vector("a/sqnr", [30, 40, np.inf], names, step, unit="dB")
                writer.vector("flops_left", [(200 - step) * 1.2345e7, 1e6 - step, 999_949], names, step, unit="FLOPs")
                pngs = [encode_png(rng.integers(0, 256, (8, 8)).astype("uint8")) for _ in range(3)]
                heat = np.zeros((16, 16, 4), "uint8")
                heat[4:12, 4:12] = (255, 0, 0, 255)
                labels = [f"{HOSTILE} at step {step}", "b", "c"]
                writer.images("explanations/GradCAM", pngs, step, labels=labels, heat=[encode_png(heat)] * 3)


@pytest.fixture(scope="module")
def found(chromium, node, tmp_path_factory):
    """What the browser saw, and the folder of its screenshots."""
    log_dir, empty = tmp_path_factory.mktemp("logs"), tmp_path_factory.mktemp("empty")
    folder = Path(os.environ.get("KERAS_ARCH_SCREENSHOTS", tmp_path_factory.mktemp("screenshots")))
    write_logs(log_dir)
    with served(log_dir) as with_data, served(empty) as without:
        command = ["node", str(Path(__file__).with_name("page.mjs")), chromium, with_data, without, str(folder)]
        done = subprocess.run(command, env=node, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert "failed" not in answer, answer
    return answer


def test_nothing_is_reported_and_nothing_is_asked_of_other_hosts(found):
    assert found["problems"] == []
    assert found["outside"] == []


def test_the_tabs_and_controls_are_there(found):
    assert found["tabs"] == [["Compression", "true"], ["Explanations", "false"]]
    assert found["metrics"] == ["a/sqnr", "flops_left", "sparsity"]


def test_another_metric_is_drawn_when_it_is_chosen(found):
    assert found["chartsBefore"] == [f"sparsity of 3 layers over steps, run {run}" for run in found["headings"]]
    assert found["chartsAfter"] == [f"flops_left of 3 layers over steps, run {run}" for run in found["headings"]]
    assert found["focusAfterMetric"] == "Metric"


def test_large_numbers_are_short(found):
    assert found["large"] == ["1.234G", "1.234G", "999900", "999900", "999900", "999900"]
    assert found["largeAtFirst"] == ["2.469G", "2.469G", "1M", "1M", "999900", "999900"]


def test_names_are_shown_as_text(found):
    assert found["names"] == ["conv", "head", HOSTILE]
    assert sorted(found["headings"]) == sorted(["pruned", HOSTILE])


def test_each_run_has_a_chart_with_its_lines(found):
    assert len(found["colours"]) == 2
    for colours in found["colours"]:
        assert min(colours.get(BLUE, 0), colours.get(VERMILION, 0)) > 200


def test_lines_are_hidden_by_their_boxes(found):
    for colours in found["coloursOfNone"]:
        assert BLUE not in colours
        assert VERMILION not in colours
        assert len(colours) > 0
    for colours in found["coloursWithoutSecond"]:
        assert BLUE in colours
        assert VERMILION not in colours


def test_the_step_slider_moves_by_keyboard(found):
    assert sorted(found["last"]) == ["0.5", "0.8"]
    assert found["first"] == ["0", "0"]


def test_gaps_are_said_in_words(found):
    assert found["notes"] == ["5 of 33 values are not finite and leave gaps."] * 2


def test_charts_follow_the_colour_scheme(found):
    light, dark = found["colours"][0], found["coloursInTheDark"][0]
    assert BLUE not in dark
    assert "61,149,214" in dark
    assert "61,149,214" not in light


def test_runs_are_switched_by_keyboard_and_the_focus_stays(found):
    assert len(found["headingsOfOneRun"]) == 1
    assert found["focusAfterRun"].startswith("Runs ")
    assert found["focusAfterArrow"] == "tab-Explanations"


def test_pictures_are_shown_with_labels_and_blended(found):
    assert found["captions"] == [f"{HOSTILE} at step 100", "b", "c"] * 2
    assert found["alternatives"][:2] == [f"{HOSTILE} at step 100, step 100", ""]
    assert found["opacityChangesThePicture"]
    assert found["stepChangesThePicture"]


def test_an_error_of_the_server_is_shown_as_text(found):
    assert found["alert"] == "<b>gone</b> (vector, status 404)"


def test_an_empty_log_directory_says_what_would_fill_it(found):
    assert "ka.callbacks.Pruning(" in found["empty"]
    assert "ka.callbacks.Explanations(" in found["emptyExplanations"]
