"""Reading through TensorBoard's data provider: order, duplicates, foreign data, bad keys."""

import base64
import json

import numpy as np
import pytest
from tensorboard import errors
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.context import RequestContext
from tensorboard.util import tensor_util

from keras_arch.tensorboard import EventWriter, encode_png, layout, reader
from keras_arch.tensorboard.records import record

CONTEXT = RequestContext()


def write_events(log_dir, *events):
    log_dir.mkdir(exist_ok=True)
    begin = event_pb2.Event(wall_time=1.0, file_version="brain.Event:2")
    data = b"".join(record(event.SerializeToString()) for event in (begin, *events))
    (log_dir / "events.out.tfevents.0000000001.host.1.0").write_bytes(data)


def event(tag, value, step, wall_time=2.0, plugin="keras_arch", content=None, data_class=2):
    described = None
    if content is not None:
        plugin_data = summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin, content=content)
        described = summary_pb2.SummaryMetadata(plugin_data=plugin_data, data_class=data_class)
    tensor = tensor_util.make_tensor_proto(value)
    one = summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=described)
    return event_pb2.Event(wall_time=wall_time, step=step, summary=summary_pb2.Summary(value=[one]))


def rows(answer):
    values = np.frombuffer(base64.b64decode(answer["values"]), "<f4")
    return values.reshape(len(answer["steps"]), len(answer["names"]))


NAMES = layout.dump(names=["a", "b"], unit="")


def test_vectors_come_back_exactly(tmp_path, provider):
    written = np.array([[0.5, np.nan], [np.inf, -np.inf], [1e-45, 0.1]], "float32")
    with EventWriter(tmp_path / "run") as writer:
        for step, row in enumerate(written):
            writer.vector("sparsity", row, ["a", "b"], step * 10, unit="dB")
    answer = reader.Reader(provider(tmp_path)).vector(CONTEXT, "", "run", "sparsity")
    np.testing.assert_array_equal(rows(answer), written)
    assert (answer["names"], answer["unit"], answer["steps"]) == (["a", "b"], "dB", [0, 10, 20])
    assert answer["left_out"] == 0
    json.dumps(answer, allow_nan=False)


def test_steps_are_sorted_and_the_latest_of_duplicates_counts(tmp_path, provider):
    first = event("t", np.float32([0, 0]), 5, 2.0, content=NAMES)
    later = [event("t", np.float32([v, v]), step, wall) for step, wall, v in [(1, 9.0, 1), (5, 8.0, 2), (5, 4.0, 3)]]
    write_events(tmp_path, first, *later)
    answer = reader.Reader(provider(tmp_path)).vector(CONTEXT, "", ".", "t")
    assert answer["steps"] == [1, 5]
    assert rows(answer).tolist() == [[1, 1], [2, 2]]


def test_events_that_do_not_fit_their_names_are_counted_and_left_out(tmp_path, provider):
    wrong = [np.float32([1, 2, 3]), np.float32(1), np.float32([[1, 2]]), np.array([b"a", b"b"]), np.array([1, 2])]
    events = [event("t", value, step) for step, value in enumerate(wrong, start=1)]
    write_events(tmp_path, event("t", np.float32([7, 8]), 0, content=NAMES), *events)
    answer = reader.Reader(provider(tmp_path)).vector(CONTEXT, "", ".", "t")
    assert rows(answer).tolist() == [[7, 8]]
    assert answer["left_out"] == len(wrong)


def test_tags_of_another_version_are_counted_and_not_read(tmp_path, provider):
    write_events(
        tmp_path,
        event("later", np.float32([1]), 0, content=b'{"version": 2}'),
        event("ours", np.float32([1, 2]), 0, content=NAMES),
        event("theirs", np.float32([1]), 0, content=b"", plugin="scalars", data_class=1),
    )
    listing = reader.Reader(provider(tmp_path)).listing(CONTEXT, "")
    vectors = [{"run": ".", "tag": "ours", "names": ["a", "b"], "unit": ""}]
    assert listing == {"vectors": vectors, "images": [], "unreadable": 1}
    for tag in ("later", "theirs", "absent"):
        with pytest.raises(errors.NotFoundError, match=f"no vector '{tag}' in the run '.'"):
            reader.Reader(provider(tmp_path)).vector(CONTEXT, "", ".", tag)


def test_pictures_labels_and_heat_maps_come_back_exactly(tmp_path, provider, picture):
    with EventWriter(tmp_path) as writer:
        for step in (3, 8):
            pngs = [encode_png(picture(4, 4, seed=step))]
            writer.images("GradCAM", pngs, step, labels=[f"at {step}"], heat=[encode_png(picture(2, 2, 4, seed=step))])
    source = reader.Reader(provider(tmp_path))
    events = source.images(CONTEXT, "", ".", "GradCAM")
    assert [one["step"] for one in events] == [3, 8]
    manifest, image, heat = (source.blob(CONTEXT, key) for key in events[1]["keys"])
    assert layout.parse_manifest(manifest[0]) == {"images": 1, "heat": 1, "labels": ["at 8"]}
    assert manifest[1] == "application/json"
    assert image == (encode_png(picture(4, 4, seed=8)), "image/png")
    assert heat == (encode_png(picture(2, 2, 4, seed=8)), "image/png")
    with pytest.raises(errors.NotFoundError, match="no images 'absent'"):
        source.images(CONTEXT, "", ".", "absent")


def key_of(*fields):
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "%%%",
        "é",
        "A" * 50_000,
        key_of(),
        key_of("", "p", ".", "t", 0),
        key_of("", "p", ".", "absent", 0, 0),
        key_of("", "p", {}, [], 0, 0),
        key_of("", "p", ".", "t", 0, 9),
        key_of("", "p", ".", "t", 0, "x"),
        key_of("", "p", ".", "t", 99, 0),
        key_of("", "p", "../../etc/passwd", "t", 0, 0),
    ],
)
def test_keys_of_nothing_are_not_found(tmp_path, provider, picture, key):
    with EventWriter(tmp_path) as writer:
        writer.images("t", [encode_png(picture(2, 2))], 0)
    with pytest.raises(errors.NotFoundError):
        reader.Reader(provider(tmp_path)).blob(CONTEXT, key)


def test_blobs_of_another_kind_are_not_served(tmp_path, provider):
    html = np.array([b"<script>alert(1)</script>"])
    write_events(tmp_path, event("t", html, 0, content=b"", plugin="other", data_class=3))
    with pytest.raises(errors.InvalidArgumentError, match="neither a PNG nor a manifest"):
        reader.Reader(provider(tmp_path)).blob(CONTEXT, key_of("", "other", ".", "t", 0, 0))


def test_long_vectors_are_thinned_to_what_one_answer_may_hold(tmp_path, provider, monkeypatch):
    monkeypatch.setattr(reader, "MOST_VALUES", 20)
    with EventWriter(tmp_path) as writer:
        for step in range(50):
            writer.vector("t", [step, step], ["a", "b"], step)
    answer = reader.Reader(provider(tmp_path)).vector(CONTEXT, "", ".", "t")
    assert len(answer["steps"]) == 10
    assert answer["steps"][-1] == 49
    assert rows(answer)[:, 0].tolist() == answer["steps"]
