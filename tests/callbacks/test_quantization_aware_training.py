"""The phases in real fits, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.callbacks import QuantizationAwareTraining
from keras_arch.compression import quantize
from keras_arch.compression.quantization.phase import phase_of

pytestmark = pytest.mark.backend
L = keras.layers


class Diary(keras.callbacks.Callback):
    """Notes phase, range and batch-norm statistics at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.pages = []

    def on_epoch_end(self, epoch, logs=None):
        ends = [float(ops.convert_to_numpy(end)) for end in self.model.get_layer("r").ranges["output_0"]]
        mean = ops.convert_to_numpy(self.model.get_layer("b").layer.moving_mean).tolist()
        kernel = ops.convert_to_numpy(self.model.get_layer("c").layer.kernel).sum()
        self.pages.append((phase_of(self.model), ends, mean, float(kernel)))


def prepared(**compile_settings):
    model = keras.Sequential(
        [
            keras.Input((5, 5, 1)),
            L.Conv2D(2, 3, name="c"),
            L.BatchNormalization(name="b"),
            L.ReLU(name="r"),
            L.Flatten(),
            L.Dense(1, name="d"),
        ]
    )
    q = quantize(model)
    q.compile(keras.optimizers.SGD(0.01), "mse", **compile_settings)
    q.optimizer.build(q.trainable_variables)  # a fit that has to make its variables traces its step twice
    return q


def data():
    generator = np.random.default_rng(0)
    return generator.normal(size=(32, 5, 5, 1)).astype("float32"), generator.normal(size=(32, 1)).astype("float32")


def test_phases_follow_the_epochs_and_freezing_holds_ranges_and_statistics():
    q, diary = prepared(), Diary()
    x, y = data()
    q.fit(x, y, epochs=5, batch_size=16, verbose=0, callbacks=[QuantizationAwareTraining(1, 3), diary])
    phases, ranges, means, kernels = zip(*diary.pages, strict=True)
    assert phases == ("observe", "quantize", "quantize", "frozen", "frozen")
    assert ranges[0] != ranges[1] != ranges[2]
    assert ranges[2] == ranges[3] == ranges[4]
    assert means[1] != means[2] == means[3] == means[4]
    assert len(set(kernels)) == 5, "kernels learn in every phase"
    assert phase_of(q) == "frozen"


def test_a_short_fit_ends_frozen_and_initial_epoch_continues_the_phases():
    q, diary = prepared(), Diary()
    x, y = data()
    training = QuantizationAwareTraining(quantize_at=1, freeze_at=4)
    q.fit(x, y, epochs=2, verbose=0, callbacks=[training])
    assert phase_of(q) == "frozen"
    q.fit(x, y, epochs=5, initial_epoch=3, verbose=0, callbacks=[training, diary])
    assert [page[0] for page in diary.pages] == ["quantize", "frozen"]
    before = diary.pages[-1]
    q.fit(x, y, verbose=0, callbacks=[diary])
    assert diary.pages[-1][:3] == before[:3], "a plain fit trains the frozen model"


def test_an_unprepared_model_is_told_what_to_call():
    model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"Call q = keras_arch.compression.quantize\(model\) first"):
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[QuantizationAwareTraining()])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((-1, 4), "quantize_at must be an integer >= 0"),
        ((1.5, 4), "quantize_at must be an integer"),
        ((2, 2), "freeze_at must be an integer >= 3"),
        ((3, 1), "freeze_at must be an integer >= 4"),
        ((1, True), "freeze_at must be"),
    ],
)
def test_epochs_out_of_order_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        QuantizationAwareTraining(*arguments)


def test_a_report_before_the_first_fit_is_refused():
    with pytest.raises(ValueError, match="saw no fit yet"):
        QuantizationAwareTraining().report()


def test_infinite_activations_are_an_error_that_names_the_layer():
    x, y = data()
    x[3, 2, 2] = np.inf
    with pytest.raises(ValueError, match="activations must be finite; the input_0 of layer 'c'"):
        prepared().fit(x, y, epochs=2, verbose=0, callbacks=[QuantizationAwareTraining(0, 1)])


@pytest.mark.parametrize("settings", [{"jit_compile": True}, {"steps_per_execution": 2}])
def test_phases_hold_under_other_compile_settings(settings):
    if keras.backend.backend() == "torch":
        pytest.skip("torch has neither XLA nor several steps in one execution")
    q, diary = prepared(**settings), Diary()
    x, y = data()
    q.fit(x, y, epochs=2, batch_size=8, verbose=0, callbacks=[QuantizationAwareTraining(0, 1), diary])
    assert [page[0] for page in diary.pages] == ["quantize", "frozen"]
    assert diary.pages[0][1] == diary.pages[1][1] != [0.0, 0.0]


def test_every_epoch_is_logged_for_tensorboard(tmp_path):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorBoard's files are read with TensorFlow here")
    import tensorflow as tf

    q = prepared()
    training = QuantizationAwareTraining(1, 2, log_dir=tmp_path)
    q.fit(*data(), epochs=2, verbose=0, callbacks=[training])
    (file,) = tmp_path.iterdir()
    found = {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            found[value.tag, event.step] = tf.make_ndarray(value.tensor)
    tags = ("weight_bits", "sqnr_db", "mean_squared_error", "saturation")
    assert set(found) == {(f"quantization/{tag}", step) for tag in (*tags, "range_width") for step in (0, 1)}
    for tag in tags:
        rows = [getattr(row, tag) for row in training.report().layers if row.weight_bits is not None]
        np.testing.assert_allclose(found[f"quantization/{tag}", 1], rows, rtol=1e-5)
        assert len(rows) == 2
    assert found["quantization/weight_bits", 0].tolist() == [8, 8]
    assert found["quantization/range_width", 1].shape == (2,)
