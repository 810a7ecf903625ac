"""The plugin behind TensorBoard's own application, and in a real TensorBoard process in both loading modes."""

import argparse
import base64
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest

from keras_arch.tensorboard import EventWriter, encode_png
from keras_arch.tensorboard.plugin import SAMPLES, KerasArchLoader

ROOT = "/data/plugin/keras_arch"
HOSTILE_TAGS = ["<img src=x onerror=alert(1)>", "../../../etc/passwd", "a?b&c=d#e", "%2e%2e/%00", "层 级", "t" * 10_000]


@pytest.fixture
def log_dir(tmp_path, picture):
    with EventWriter(tmp_path / "run") as writer:
        for step in range(3):
            writer.vector("sparsity", [step / 4, np.nan], ["conv", "head"], step)
            pngs = [encode_png(picture(4, 4, seed=step))]
            writer.images("GradCAM", pngs, step, labels=["three"], heat=[encode_png(picture(2, 2, 4))])
    return tmp_path


def test_tensorboard_lists_the_plugin_as_active_where_there_is_data(log_dir, client, tmp_path_factory):
    listed = client(log_dir).get("/data/plugins_listing").json["keras_arch"]
    assert listed["enabled"] is True
    assert listed["loading_mechanism"] == {"type": "IFRAME", "module_path": f"{ROOT}/static/index.js"}
    empty = client(tmp_path_factory.mktemp("empty"))
    assert empty.get("/data/plugins_listing").json["keras_arch"]["enabled"] is False
    assert empty.get(f"{ROOT}/tags").json == {"vectors": [], "images": [], "unreadable": 0}


def test_the_routes_answer_with_what_was_written(log_dir, client, picture):
    web = client(log_dir)
    assert web.get(f"{ROOT}/tags").json == {
        "vectors": [{"run": "run", "tag": "sparsity", "names": ["conv", "head"], "unit": ""}],
        "images": [{"run": "run", "tag": "GradCAM"}],
        "unreadable": 0,
    }
    answer = web.get(f"{ROOT}/vector", query_string={"run": "run", "tag": "sparsity"}).json
    values = np.frombuffer(base64.b64decode(answer["values"]), "<f4").reshape(3, 2)
    np.testing.assert_array_equal(values, np.float32([[0, np.nan], [0.25, np.nan], [0.5, np.nan]]))
    events = web.get(f"{ROOT}/images", query_string={"run": "run", "tag": "GradCAM"}).json
    assert [one["step"] for one in events] == [0, 1, 2]
    blob = web.get(f"{ROOT}/blob", query_string={"key": events[2]["keys"][1], "time": events[2]["time"]})
    assert blob.data == encode_png(picture(4, 4, seed=2))
    assert blob.mimetype == "image/png"
    assert blob.headers["X-Content-Type-Options"] == "nosniff"
    assert web.get(f"{ROOT}/blob", query_string={"key": events[2]["keys"][0]}).json["labels"] == ["three"]


def test_hostile_names_are_carried_as_they_are(tmp_path, client):
    for place, name in enumerate(HOSTILE_TAGS):
        run = ["<b>run", "a/..%2f", "ü'\"", "x y", "z", "w"][place]
        with EventWriter(tmp_path / run) as writer:
            writer.vector(name, [place], [name], 0)
    web = client(tmp_path)
    listed = web.get(f"{ROOT}/tags").json["vectors"]
    assert sorted(one["tag"] for one in listed) == sorted(HOSTILE_TAGS)
    for one in listed:
        answer = web.get(f"{ROOT}/vector", query_string={"run": one["run"], "tag": one["tag"]})
        assert answer.json["names"] == [one["tag"]]
        assert answer.mimetype == "application/json"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/vector", 400),
        ("/vector?run=run", 400),
        ("/vector?run=run&tag=a&tag=b", 400),
        ("/vector?run=run&tag=absent", 404),
        ("/vector?run=absent&tag=sparsity", 404),
        ("/vector?run=../..&tag=sparsity", 404),
        ("/vector?run=run&tag=GradCAM", 404),
        ("/images?run=run", 400),
        ("/images?run=run&tag=sparsity", 404),
        ("/blob", 400),
        ("/blob?key=", 404),
        ("/blob?key=nonsense", 404),
        ("/blob?key=Li4vLi4vZXRjL3Bhc3N3ZA", 404),
        ("/static/absent.js", 404),
        ("/static/", 404),
        ("/static/../plugin.py", 404),
        ("/static/%2e%2e/plugin.py", 404),
        ("/static/..%5cplugin.py", 404),
        ("/static//etc/passwd", 404),
        ("/plugin.py", 404),
    ],
)
def test_wrong_addresses_get_a_clean_answer(log_dir, client, path, status):
    answer = client(log_dir).get(ROOT + path)
    assert answer.status_code == status
    assert "Traceback" not in answer.text
    assert answer.mimetype == "text/plain"


@pytest.mark.parametrize("path", ["/tags", "/vector?run=run&tag=sparsity", "/images", "/blob", "/static/index.js"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_everything_is_read_only(log_dir, client, path, method):
    answer = client(log_dir).open(ROOT + path, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert client(log_dir).head(ROOT + path.split("?")[0]).data == b""


def test_assets_have_their_media_types(log_dir, client):
    web = client(log_dir)
    for name, media_type in (("index.js", "text/javascript"), ("style.css", "text/css")):
        answer = web.get(f"{ROOT}/static/{name}")
        assert (answer.status_code, answer.mimetype) == (200, media_type)
        assert len(answer.data) > 1000


def test_the_loader_raises_the_caps_below_the_users_choice(log_dir, provider):
    flags = argparse.Namespace(samples_per_plugin={"keras_arch": 3, "scalars": 7})
    KerasArchLoader().fix_flags(flags)
    assert flags.samples_per_plugin == {
        "keras_arch": 3,
        "scalars": 7,
        "keras_arch_images": SAMPLES["keras_arch_images"],
    }


def test_the_rooms_modules_import_neither_tensorflow_nor_keras(tmp_path, alone):
    done = alone(f"""
from keras_arch.tensorboard import EventWriter, plugin
with EventWriter({str(tmp_path)!r}) as writer:
    writer.vector("t", [1], ["a"], 0)
print({{"tensorflow", "keras", "matplotlib"}} & set(sys.modules))
""")
    assert (done.stdout.strip(), done.returncode) == ("set()", 0), done.stderr


def get(url):
    with urllib.request.urlopen(url, timeout=300) as answer:
        return answer.read()


def until(condition, seconds=900):
    """First true answer of a condition on another process, asked again and again until a deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.1)
    return answer


@pytest.fixture
def tensorboard(tmp_path):
    """(log_dir, *options) -> address of a real TensorBoard process that ends with the test."""
    log = tmp_path / "tensorboard.log"
    started = []

    def start(log_dir, *options):
        command = [sys.executable, "-m", "tensorboard.main", f"--logdir={log_dir}", "--host=127.0.0.1", "--port=0"]
        with log.open("w") as output:
            process = subprocess.Popen([*command, *options], stdout=output, stderr=output)
        started.append(process)

        def address():
            assert process.poll() is None, log.read_text()[-2000:]
            return re.search(r"TensorBoard \S+ at (http://127\.0\.0\.1:\d+)/", log.read_text())

        return until(address).group(1)

    yield start
    for process in started:
        process.terminate()
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["true", "false"])
def test_a_real_tensorboard_finds_and_serves_it(tmp_path, picture, tensorboard, mode):
    log_dir = tmp_path / "logs"
    for start in (0, 10):  # a run, and the same run again from step 10
        with EventWriter(log_dir / "run") as writer:
            for step in range(start, 30):
                writer.vector("sparsity", [start], ["conv"], step)
                writer.images(HOSTILE_TAGS[0], [encode_png(picture(4, 4, seed=start + step))], step)
    with EventWriter(log_dir / "<b>second") as writer:
        writer.vector("sparsity", [1], ["conv"], 0)
    address = tensorboard(log_dir, f"--load_fast={mode}")
    root = address + ROOT

    def ask(route, **query):
        return get(f"{root}/{route}?{urllib.parse.urlencode(query)}")

    until(lambda: len(json.loads(ask("tags"))["vectors"]) == 2)
    assert json.loads(get(f"{address}/data/plugins_listing"))["keras_arch"]["enabled"] is True
    vector = json.loads(ask("vector", run="run", tag="sparsity"))
    assert vector["steps"] == list(range(30))
    values = np.frombuffer(base64.b64decode(vector["values"]), "<f4")
    assert values.tolist() == [0] * 10 + [10] * 20
    events = json.loads(ask("images", run="run", tag=HOSTILE_TAGS[0]))
    assert [one["step"] for one in events] == list(range(30))  # not the ten that TensorBoard keeps by default
    assert ask("blob", key=events[20]["keys"][1]) == encode_png(picture(4, 4, seed=30))
    assert b"export async function render" in get(f"{root}/static/index.js")
    for wrong, status in (
        ("blob?key=x", (400, 404)),
        ("vector?run=a&tag=b", (404,)),
        ("static/..%2fplugin.py", (404,)),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{root}/{wrong}")
        assert refused.value.code in status
        refused.value.close()
