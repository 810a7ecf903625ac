"""Steps that are trained: their gradients by hand, their life over the phases, files and LiteRT."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.fake_quant import lsq_loop

from keras_arch.callbacks import QuantizationAwareTraining
from keras_arch.compression import PerChannel, PerGroup, Scheme, calibrate, export_litert, quantize
from keras_arch.compression.quantization import measure, set_phase
from keras_arch.compression.quantization.layer import Placement, QuantizedLayer
from keras_arch.compression.quantization.learned_range import LearnedRange

pytestmark = pytest.mark.backend
L = keras.layers


def number(x):
    return ops.convert_to_numpy(x)


def learned_weights(bits=3, granularity=None):
    return Scheme(bits, narrow=True, granularity=granularity or PerChannel(), observer="learned_step")


def network(weights=None, activations=8):
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(5, activation="relu", name="body"), L.Dense(2, name="head", use_bias=False)]
    )
    return quantize(model, weights or learned_weights(), activations)


@pytest.fixture
def data(rng):
    return rng.normal(size=(32, 6)).astype("float32"), rng.normal(size=(32, 2)).astype("float32")


def test_the_zero_of_a_range_stays_where_it_is_while_the_step_moves():
    ends = [keras.Variable(value) for value in (-1.0, 2.0, 0.0)]
    learned = LearnedRange(Scheme(2, symmetric=False), *ends)
    learned.start()
    np.testing.assert_allclose(number(learned.step), 1.0)
    learned.step.assign(0.5)
    np.testing.assert_allclose([number(end) for end in learned.ends()], [-0.5, 1.0])
    learned.step.assign(-0.5)
    np.testing.assert_allclose([number(end) for end in learned.ends()], [-0.5, 1.0])
    learned.settle()
    np.testing.assert_allclose([number(end) for end in ends[:2]], [-0.5, 1.0])


@pytest.mark.parametrize("granularity", [PerChannel(), PerChannel(-1), PerGroup(2)])
def test_the_step_of_a_kernel_moves_by_the_gradient_of_the_paper(granularity, rng):
    layer = L.Dense(3, use_bias=False)
    wrapper = QuantizedLayer(layer, learned_weights(3, granularity), 8, Placement(outputs=()))
    model = keras.Sequential([keras.Input((4,)), wrapper])
    kernel = rng.normal(size=(4, 3)).astype("float32")
    layer.kernel.assign(kernel)
    set_phase(model, "quantize")
    x, y = rng.normal(size=(8, 4)).astype("float32"), rng.normal(size=(8, 3)).astype("float32")
    step = number(wrapper.learned["kernel_0"].step).astype("float64")
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.fit(x, y, batch_size=8, verbose=0)
    moved = (step - number(wrapper.learned["kernel_0"].step)) / 0.01
    size = {PerChannel(): 12, PerChannel(-1): 4, PerGroup(2): 2}[granularity]
    parts = kernel.reshape(-1, 1) if size == 12 else kernel.reshape(-1, size, 3).transpose(1, 0, 2).reshape(size, -1)
    pairs = [lsq_loop(part, one, -3, 3) for part, one in zip(parts.T, step.ravel(), strict=True)] if size != 12 else []
    if size == 12:
        rounded, by_step = lsq_loop(kernel, float(step), -3, 3)
    else:
        rounded, by_step = (
            np.stack([pair[i] for pair in pairs], -1).reshape(size, -1, 3).transpose(1, 0, 2).reshape(4, 3)
            for i in (0, 1)
        )
    by_kernel = x.T @ (2 * (x @ rounded - y) / y.size)
    terms = by_kernel * by_step / np.sqrt(size * 3)
    expected = terms.sum() if size == 12 else terms.reshape(-1, size, 3).sum(1)
    np.testing.assert_allclose(moved, expected.reshape(step.shape) if size != 12 else expected, rtol=2e-3, atol=1e-4)
    inside = np.abs(kernel / (step if size == 12 else np.repeat(step.reshape(-1, 3), size, 0))) < 3
    shifted = (kernel - number(layer.kernel)) / 0.01
    np.testing.assert_allclose(shifted, np.where(inside, by_kernel, 0), rtol=2e-3, atol=1e-4)


def test_the_step_of_an_activation_moves_by_the_gradient_of_the_paper(rng):
    scheme = Scheme(3, symmetric=True, narrow=True, observer="learned_step")
    wrapper = QuantizedLayer(L.Identity(), 8, scheme)
    model = keras.Sequential([keras.Input((5,)), wrapper])
    x, y = rng.normal(size=(8, 5)).astype("float32"), rng.normal(size=(8, 5)).astype("float32")
    wrapper(x, training=True)
    set_phase(model, "quantize")
    step = float(number(wrapper.learned["output_0"].step))
    assert step == pytest.approx(2 * np.abs(x).mean() / np.sqrt(3), rel=1e-4)
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.fit(x, y, batch_size=8, verbose=0)
    rounded, by_step = lsq_loop(x, step, -3, 3)
    expected = np.sum(2 * (rounded - y) / y.size * by_step) / np.sqrt(5 * 3)
    assert (step - float(number(wrapper.learned["output_0"].step))) / 0.01 == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_steps_learn_in_the_phase_quantize_alone(jit_compile, data):
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("torch has no XLA")
    q = network(activations=Scheme(4, symmetric=False, observer="learned_step"))
    q.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=jit_compile)
    q.optimizer.build(q.trainable_variables)  # a fit that has to make its variables traces its step twice
    pages = []

    class Diary(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            names = [("body", "kernel_0"), ("body", "input_0"), ("body", "output_0"), ("head", "kernel_0")]
            layers = {name: self.model.get_layer(name) for name in ("body", "head")}
            steps = [number(layers[layer].learned[name].step).copy() for layer, name in names]
            outputs = number(self.model(data[0], training=False))
            pages.append((steps, outputs, number(layers["body"].layer.kernel).copy()))

    q.fit(*data, epochs=4, batch_size=8, verbose=0, callbacks=[QuantizationAwareTraining(1, 3), Diary()])
    steps = [np.array(page[0]) for page in pages]
    assert not steps[0].any(), "they have not started"
    assert (steps[1] > 0).all()
    assert (steps[1] != steps[2]).all()
    ranges = [
        number(end)
        for layer in ("body", "head")
        for one in q.get_layer(layer).learned.values()
        for end in (one.low, one.high)
    ]
    q.fit(*data, epochs=2, batch_size=8, verbose=0)
    again = [
        number(end)
        for layer in ("body", "head")
        for one in q.get_layer(layer).learned.values()
        for end in (one.low, one.high)
    ]
    np.testing.assert_array_equal(ranges, again)
    assert (pages[2][2] != pages[3][2]).any(), "kernels learn on"


def test_freezing_changes_no_output_and_thawing_continues_from_there(data):
    q = network(activations=Scheme(4, symmetric=False, observer="learned_step"))
    q.compile(keras.optimizers.Adam(0.01), "mse")
    q.optimizer.build(q.trainable_variables)
    q(data[0], training=True)
    set_phase(q, "quantize")
    ends = [number(end) for one in q.get_layer("body").learned.values() for end in (one.low, one.high)]
    q.fit(*data, epochs=2, batch_size=8, verbose=0)
    kept = [number(end) for one in q.get_layer("body").learned.values() for end in (one.low, one.high)]
    np.testing.assert_array_equal(ends, kept, err_msg="where zero lies stays while the step is trained")
    before, report = number(q(data[0], training=False)), measure(q)
    steps = [float(number(one.value)) for one in q.get_layer("body").learned.values()]
    set_phase(q, "frozen")
    np.testing.assert_allclose(number(q(data[0], training=False)), before, rtol=1e-5, atol=1e-6)
    for one, other in zip(measure(q).layers, report.layers, strict=True):
        assert one.sqnr_db == pytest.approx(other.sqnr_db, rel=1e-4)
        assert one.high == pytest.approx(other.high, rel=1e-5)
    q.fit(*data, epochs=1, batch_size=8, verbose=0)  # Adam moves what it has momentum for, and nothing reads it
    set_phase(q, "quantize")
    np.testing.assert_allclose(
        [float(number(one.value)) for one in q.get_layer("body").learned.values()], steps, rtol=1e-4
    )


def test_a_saved_model_goes_on_with_its_steps(data, tmp_path):
    q = network(activations=Scheme(4, symmetric=False, observer="learned_step"))
    q.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    q(data[0], training=True)
    set_phase(q, "quantize")
    q.fit(*data, batch_size=8, verbose=0)
    q.save(tmp_path / "q.keras")
    again = keras.saving.load_model(tmp_path / "q.keras")
    assert again.get_layer("body").quantization_phase == "quantize"
    for model in (q, again):
        model.fit(*data, batch_size=8, shuffle=False, verbose=0)
    for one, other in zip(q.weights, again.weights, strict=True):
        np.testing.assert_allclose(number(one), number(other), rtol=1e-4, atol=1e-6)


def test_the_phase_that_starts_steps_needs_observed_activations(data):
    learned = Scheme(8, symmetric=False, observer="learned_step")
    q = network(activations=learned)
    with pytest.raises(ValueError, match="must have seen data before its ranges are used"):
        set_phase(q, "quantize")
    assert q.get_layer("body").quantization_phase == "observe"
    set_phase(network(), "quantize")
    set_phase(calibrate(q, data[0]), "quantize")


def test_calibrated_models_round_where_learning_would_start(data):
    q = calibrate(network(), data[0])
    kernel = number(q.get_layer("body").layer.kernel)
    high = float(number(q.get_layer("body").learned["kernel_0"].high))
    assert high == pytest.approx(3 * 2 * np.abs(kernel).mean() / np.sqrt(3), rel=1e-4)
    assert np.abs(number(q.predict(data[0], verbose=0))).max() > 0


def test_a_step_that_diverged_is_not_frozen(data):
    q = network()
    q(data[0], training=True)
    set_phase(q, "quantize")
    q.get_layer("head").learned["kernel_0"].step.assign(np.nan)
    with pytest.raises(ValueError, match="learned steps must be finite; that of the kernel_0 of layer 'head'"):
        set_phase(q, "frozen")


@pytest.mark.parametrize("bits", [4, 8])
def test_learned_steps_are_exported_to_litert(bits, rng, tmp_path):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("LiteRT's converter reads TensorFlow's operations")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(4, 3, name="c"),
            L.BatchNormalization(),
            L.ReLU(),
            L.Flatten(),
            L.Dense(3, name="d"),
        ]
    )
    q = quantize(model, learned_weights(bits), Scheme(8, symmetric=False, observer="learned_step"))
    q.compile(keras.optimizers.Adam(0.01), "mse")
    q.optimizer.build(q.trainable_variables)
    x, y = rng.normal(size=(64, 8, 8, 1)).astype("float32"), rng.normal(size=(64, 3))
    q.fit(x, y, epochs=4, verbose=0, callbacks=[QuantizationAwareTraining(1, 3)])
    report = export_litert(q, tmp_path / "m.tflite", x[:20])
    assert not report.file.float_ops
    assert set(report.file.kernel_types) <= {"int4", "int8"}
    assert report.gap_steps <= 1.01
