"""What is written is what TensorFlow's and TensorBoard's own readers find."""

import json

import numpy as np
import pytest
from tensorboard.context import RequestContext

from keras_arch.tensorboard import EventWriter, encode_png


def events(log_dir):
    import tensorflow as tf

    (path,) = log_dir.glob("events.out.tfevents.*")
    return [event for event in tf.compat.v1.train.summary_iterator(str(path)) if event.HasField("summary")]


def test_vectors_keep_steps_names_and_every_float(tmp_path):
    import tensorflow as tf

    rows = np.array([[0.0, -1.5, np.nan], [np.inf, -np.inf, 1e-45], [3.4e38, 0.1, 2.0]], "float32")
    names = ["conv", "模型/层", '<img src=x onerror="alert(1)">']
    with EventWriter(tmp_path) as writer:
        for step, row in zip((0, 7, 2**40), rows, strict=True):
            writer.vector("quantization/sqnr_db", row, names, step, unit="dB")
    found = events(tmp_path)
    assert [event.step for event in found] == [0, 7, 2**40]
    values = [event.summary.value[0] for event in found]
    np.testing.assert_array_equal(np.stack([tf.make_ndarray(value.tensor) for value in values]), rows)
    assert {value.tag for value in values} == {"quantization/sqnr_db"}
    first, *later = (value.metadata for value in values)
    assert first.plugin_data.plugin_name == "keras_arch"
    assert json.loads(first.plugin_data.content) == {"version": 1, "names": names, "unit": "dB"}
    assert first.data_class == 2  # DATA_CLASS_TENSOR: without it the data is invisible
    assert all(not metadata.ByteSize() for metadata in later)


def test_images_are_a_manifest_then_pictures_then_heat_maps(tmp_path, picture):
    pngs = [encode_png(picture(4, 4, seed=seed)) for seed in range(2)]
    heat = [encode_png(picture(8, 8, 4, seed=seed)) for seed in range(2)]
    with EventWriter(tmp_path) as writer:
        writer.images("explanations/GradCAM", pngs, 5, labels=["a", "b"], heat=heat)
        writer.images("explanations/GradCAM", pngs[:1], 6)
    first, second = (event.summary.value[0] for event in events(tmp_path))
    assert json.loads(first.tensor.string_val[0]) == {"version": 1, "images": 2, "heat": 2, "labels": ["a", "b"]}
    assert list(first.tensor.string_val[1:]) == pngs + heat
    assert [dim.size for dim in first.tensor.tensor_shape.dim] == [5]
    assert first.metadata.plugin_data.plugin_name == "keras_arch_images"
    assert first.metadata.data_class == 3  # DATA_CLASS_BLOB_SEQUENCE
    assert json.loads(second.tensor.string_val[0]) == {"version": 1, "images": 1, "heat": 0, "labels": []}
    assert list(second.tensor.string_val[1:]) == pngs[:1]


def test_scalars_are_tensorboards_own(tmp_path, provider):
    from tensorboard.data.provider import RunTagFilter

    with EventWriter(tmp_path) as writer:
        for step, value in enumerate([0.5, np.float64(0.25), np.array([3]), float("nan")]):
            writer.scalar("sparsity/total", value, step)
    where = {"experiment_id": "", "plugin_name": "scalars", "run_tag_filter": RunTagFilter(["."], ["sparsity/total"])}
    found = provider(tmp_path).read_scalars(RequestContext(), downsample=10, **where)["."]["sparsity/total"]
    assert [datum.step for datum in found] == [0, 1, 2, 3]
    np.testing.assert_array_equal([datum.value for datum in found], [0.5, 0.25, 3, np.nan])


def test_keras_tensors_and_lists_are_taken_as_values(tmp_path):
    import keras
    import tensorflow as tf

    with EventWriter(tmp_path) as writer:
        writer.vector("sparsity", keras.ops.convert_to_tensor([0.5, 1.0]), ("a", "b"), np.int64(3))
        writer.scalar("loss", keras.Variable(2.0), 0)
    values = [tf.make_ndarray(event.summary.value[0].tensor).tolist() for event in events(tmp_path)]
    assert values == [[0.5, 1.0], 2.0]


def test_a_tag_keeps_its_names_unit_and_kind(tmp_path, picture):
    with EventWriter(tmp_path) as writer, EventWriter(tmp_path) as other:
        writer.vector("sparsity", [1, 2], ["a", "b"], 0)
        for names, unit, message in (
            (["a", "c"], "", r"received tag='sparsity' with names=\['a', 'c'\] after names=\['a', 'b'\]"),
            (["a", "b"], "dB", "with unit='dB' after unit=''.*Choose another tag"),
        ):
            for either in (writer, other):
                with pytest.raises(ValueError, match=message):
                    either.vector("sparsity", [1, 2], names, 1, unit=unit)
        with pytest.raises(ValueError, match="with data for 'scalars' after data for 'keras_arch'"):
            other.scalar("sparsity", 1, 1)
        with pytest.raises(ValueError, match="data for 'keras_arch_images' after"):
            other.images("sparsity", [encode_png(picture(2, 2))], 1)
        other.vector("sparsity", [3, 4], ["a", "b"], 1)
    assert len(events(tmp_path)) == 2


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("vector", ("t", [1, 2], ["a"], 0), r"one number for each name.*shape \(2,\) and 1 names"),
        ("vector", ("t", [[1]], ["a"], 0), r"received values of shape \(1, 1\)"),
        ("vector", ("t", [], [], 0), "at least one"),
        ("vector", ("t", ["x"], ["a"], 0), r"values must be numbers; received values=\['x'\]"),
        ("vector", ("t", [1], "a", 0), "names must be a sequence of texts; received names='a'"),
        ("vector", ("t", [1], None, 0), "names must be a sequence of texts; received names=None"),
        ("vector", ("t", [1], [1], 0), "names must be a sequence of texts"),
        ("vector", ("t", [1], ["a"], -1), "step must be an integer >= 0"),
        ("vector", ("t", [1], ["a"], 1.0), "step must be an integer >= 0"),
        ("vector", ("t", [1], ["a"], 2**63), "step must be an integer >= 0"),
        ("vector", ("", [1], ["a"], 0), "tag must not be empty"),
        ("vector", (3, [1], ["a"], 0), "tag must be a text; received tag=3"),
        ("vector", ("t", [1], ["a"], 0, None), "unit must be a text; received unit=None"),
        ("scalar", ("t", [1, 2], 0), r"value must be one number; received value of shape \(2,\).*vector"),
        ("scalar", ("t", "x", 0), "value must be numbers"),
        ("images", ("t", [], 0), "pngs must hold at least one picture"),
        ("images", ("t", [b"GIF89a"], 0), "received at place 0 b'GIF89a'.*encode_png"),
        ("images", ("t", [np.zeros((2, 2))], 0), "received at place 0 an object of type numpy.ndarray"),
        ("images", ("t", b"\x89PNG", 0), "pngs must be a sequence of PNG files"),
        ("images", ("t", None, 0), "received at place 0 None"),
    ],
)
def test_arguments_that_break_a_rule_are_refused(tmp_path, method, arguments, message):
    with EventWriter(tmp_path) as writer, pytest.raises(ValueError, match=message):
        getattr(writer, method)(*arguments)


def test_labels_and_heat_maps_belong_to_pictures(tmp_path, picture):
    png = encode_png(picture(2, 2))
    with EventWriter(tmp_path) as writer:
        with pytest.raises(ValueError, match="labels must be empty or as long as pngs; received 2 labels for 1 pngs"):
            writer.images("t", [png], 0, labels=["a", "b"])
        with pytest.raises(ValueError, match="heat must be empty or as long as pngs; received 1 heat for 2 pngs"):
            writer.images("t", [png, png], 0, heat=[png])
        with pytest.raises(ValueError, match="heat must be a sequence of PNG files"):
            writer.images("t", [png], 0, heat=[b"x"])


# Keras 3.15 hands its optimizer variables to `np.array`, whose protocol NumPy 2 has extended.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_it_stands_beside_the_tensorboard_callback_of_keras(tmp_path, provider):
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with EventWriter(tmp_path) as writer:
        writer.vector("sparsity", [0.5], ["dense"], 0)
        x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
        callback = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
        model.fit(x, y, validation_data=(x, y), epochs=2, verbose=0, callbacks=[callback])
        writer.vector("sparsity", [0.75], ["dense"], 2)
    source, context = provider(tmp_path), RequestContext()
    assert set(source.list_tensors(context, experiment_id="", plugin_name="keras_arch")) == {"."}
    scalars = source.list_scalars(context, experiment_id="", plugin_name="scalars")
    assert {run: "epoch_loss" in tags for run, tags in scalars.items()} == {"train": True, "validation": True}
