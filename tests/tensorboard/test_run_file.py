"""One file a run directory: shared writers, restarts, exceptions, other file systems."""

import base64
import gc

import numpy as np
import pytest
from tensorboard.context import RequestContext

from keras_arch.tensorboard import EventWriter
from keras_arch.tensorboard.reader import Reader


def event_files(log_dir):
    return sorted(log_dir.glob("events.out.tfevents.*"))


def read(provider, log_dir, tag="sparsity", run="."):
    answer = Reader(provider(log_dir)).vector(RequestContext(), "", run, tag)
    values = np.frombuffer(base64.b64decode(answer["values"]), "<f4")
    return dict(zip(answer["steps"], values.reshape(len(answer["steps"]), -1).tolist(), strict=True))


def test_two_writers_of_a_directory_share_one_file(tmp_path, provider):
    with EventWriter(tmp_path) as first, EventWriter(f"{tmp_path}/../{tmp_path.name}") as second:
        first.vector("sparsity", [0.25], ["a"], 0)
        second.vector("quantization", [30], ["a"], 0)
        first.vector("sparsity", [0.5], ["a"], 1)
    assert len(event_files(tmp_path)) == 1
    assert read(provider, tmp_path) == {0: [0.25], 1: [0.5]}
    assert read(provider, tmp_path, "quantization") == {0: [30.0]}


def test_the_file_stays_open_until_the_last_writer_closes(tmp_path):
    first, second = EventWriter(tmp_path), EventWriter(tmp_path)
    first.close()
    first.close()
    second.scalar("loss", 1, 0)
    second.close()
    with pytest.raises(ValueError, match=r"the writer of .* must be open; it was closed\. Make a new EventWriter"):
        second.scalar("loss", 1, 1)


def test_writers_of_different_directories_are_independent(tmp_path):
    with EventWriter(tmp_path / "a") as first, EventWriter(tmp_path / "b") as second:
        first.vector("sparsity", [1], ["x"], 0)
        second.vector("sparsity", [1, 2], ["y", "z"], 0)
    assert len(event_files(tmp_path / "a")) == len(event_files(tmp_path / "b")) == 1


def test_a_later_file_is_read_after_an_earlier_one(tmp_path):
    names = []
    for _ in range(12):
        EventWriter(tmp_path).close()
        names += [path.name for path in event_files(tmp_path) if path.name not in names]
    assert names == sorted(names)
    assert len(names) == 12


def test_a_restarted_run_replaces_what_follows_its_first_step(tmp_path, provider):
    for start, value in ((0, 1.0), (5, 2.0)):
        with EventWriter(tmp_path) as writer:
            for step in range(start, start + 10):
                writer.vector("sparsity", [value], ["a"], step)
    assert read(provider, tmp_path) == {step: [1.0 if step < 5 else 2.0] for step in range(15)}


def test_a_run_that_begins_anew_replaces_everything(tmp_path, provider):
    for value in (1.0, 2.0):
        with EventWriter(tmp_path) as writer:
            for step in range(10 if value == 1.0 else 3):
                writer.vector("sparsity", [value], ["a"], step)
    assert read(provider, tmp_path) == {0: [2.0], 1: [2.0], 2: [2.0]}


def test_the_last_point_of_one_tag_survives_the_first_point_of_another(tmp_path, provider):
    with EventWriter(tmp_path) as writer:
        writer.vector("sparsity", [0.8], ["a"], 100)
    with EventWriter(tmp_path) as writer:
        writer.vector("quantization/sqnr_db", [30.0], ["a"], 100)
    assert read(provider, tmp_path) == {100: [pytest.approx(0.8)]}


def test_a_continued_run_keeps_what_went_before(tmp_path, provider):
    for steps in (range(3), range(3, 6)):
        with EventWriter(tmp_path) as writer:
            for step in steps:
                writer.vector("sparsity", [step], ["a"], step)
    assert read(provider, tmp_path) == {step: [float(step)] for step in range(6)}


def test_what_was_written_survives_an_exception_without_close(tmp_path, provider):
    def fit():
        writer = EventWriter(tmp_path)
        writer.vector("sparsity", [0.5], ["a"], 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit()
    gc.collect()
    assert read(provider, tmp_path) == {3: [0.5]}
    with EventWriter(tmp_path) as writer:
        writer.vector("sparsity", [0.75], ["a"], 4)
    assert read(provider, tmp_path) == {3: [0.5], 4: [0.75]}


def test_a_directory_that_was_deleted_gets_a_new_file(tmp_path):
    writer = EventWriter(tmp_path / "run")
    event_files(tmp_path / "run")[0].unlink()
    with EventWriter(tmp_path / "run") as second:
        second.scalar("loss", 1, 0)
    assert len(event_files(tmp_path / "run")) == 1
    writer.close()


def test_a_directory_that_cannot_be_made_raises_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        EventWriter(tmp_path / "file" / "run")


def test_addresses_go_through_the_file_systems_of_tensorboard():
    import tensorflow as tf

    with EventWriter("ram://keras_arch/run") as writer:
        writer.vector("sparsity", [0.5], ["a"], 7)
        writer.flush()
    (name,) = tf.io.gfile.listdir("ram://keras_arch/run")
    events = list(tf.compat.v1.train.summary_iterator(f"ram://keras_arch/run/{name}"))
    assert events[-1].step == 7


def test_a_killed_process_leaves_every_event(tmp_path, provider, alone):
    done = alone(f"""
import os, signal
from keras_arch.tensorboard import EventWriter
writer = EventWriter({str(tmp_path)!r})
for step in range(50):
    writer.vector("sparsity", [step], ["a"], step)
os.kill(os.getpid(), signal.SIGKILL)
""")
    assert done.returncode == -9, done.stderr
    assert sorted(read(provider, tmp_path)) == list(range(50))


def test_a_truncated_file_is_read_up_to_the_cut(tmp_path, provider):
    with EventWriter(tmp_path) as writer:
        for step in range(10):
            writer.vector("sparsity", [step], ["a"], step)
    (path,) = event_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    assert sorted(read(provider, tmp_path)) == list(range(9))
