"""Pruning, clustering, shrinking and quantization together, in plain `fit`, step by step and in the LiteRT file."""

import keras
import numpy as np
import pytest
from keras import layers
from oracles.litert_kernels import stored_kernels

from keras_arch import compression
from keras_arch.callbacks import Clustering, Pruning, QuantizationAwareTraining

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="LiteRT needs the TensorFlow backend")
NAMES = ("conv", "wide", "head")
PER_TENSOR = compression.Scheme(8, narrow=True)


def cnn():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="wide"),
            layers.Flatten(),
            layers.Dense(10, name="head"),
        ]
    )


def compiled(model, rate=3e-4):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)  # a fit that has to make its variables traces its step twice
    return model


def fitted(model, data, epochs, *callbacks):
    model.fit(*data, batch_size=128, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model


def accuracy(model, data):
    return float((model.predict(data[0], verbose=0).argmax(-1) == data[1]).mean())


class EveryStep(keras.callbacks.Callback):
    """Keeps what `look` sees of each kernel after each training step."""

    def __init__(self, look):
        super().__init__()
        self.look, self.seen = look, []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append([self.look(kernel) for kernel in inner_kernels(self.model)])


def inner_kernels(model):
    found = [model.get_layer(name) for name in NAMES]
    return [getattr(layer, "layer", layer).kernel.numpy() for layer in found]


def rounded_kernels(q):
    found = [q.get_layer(name) for name in NAMES]
    return [layer.weights_scheme.quantize_kernel(layer.layer.kernel, layer.kernel_axes[0]).numpy() for layer in found]


def distinct(array):
    return len(np.unique(array))


@pytest.fixture(scope="module")
def start(digits):
    """A float model that knows the digits."""
    keras.utils.set_random_seed(0)
    return fitted(compiled(cnn(), 2e-3), digits[0], 15)


@pytest.fixture
def model(start):
    copied = compiled(cnn())
    copied.set_weights(start.get_weights())
    return copied


@pytest.fixture(scope="module")
def plain(start, digits, tmp_path_factory):
    """The report of the file without pruning and clustering."""
    q = fitted(compiled(compression.quantize(start)), digits[0], 3, QuantizationAwareTraining(1, 2))
    return exported(q, tmp_path_factory.mktemp("plain"), digits)[1]


def exported(q, folder, digits):
    """({shape of a kernel as LiteRT lays it out: StoredKernel}, report)."""
    report = compression.export_litert(q, folder / "model.tflite", samples=digits[1][0])
    assert report.all_int8
    assert report.gap_steps <= 1.001
    return stored_kernels((folder / "model.tflite").read_bytes()), report


def in_the_layout_of_litert(kernel):
    return np.moveaxis(kernel, -1, 0)


def test_a_pruned_model_keeps_every_zero_while_it_is_quantized(model, digits, plain, tmp_path):
    fitted(model, digits[0], 3, Pruning(compression.ConstantSchedule(0.8)))
    gone = [kernel == 0 for kernel in inner_kernels(model)]
    q = compiled(compression.quantize(model))
    keeper, watch = Pruning(compression.ConstantSchedule(0.8)), EveryStep(lambda kernel: kernel == 0)
    fitted(q, digits[0], 3, keeper, QuantizationAwareTraining(1, 2), watch)
    assert len(watch.seen) == 3 * 11
    for seen in watch.seen:
        for zeros, before in zip(seen, gone, strict=True):
            np.testing.assert_array_equal(zeros, before)
    kernels, report = exported(q, tmp_path, digits)
    moved = [np.any(a != b) for a, b in zip(inner_kernels(q), inner_kernels(model), strict=True)]
    assert all(moved)
    for rounded, before, stored in zip(rounded_kernels(q), gone, kernels, strict=True):
        assert not rounded[before].any()
        assert not stored.integers[in_the_layout_of_litert(before)].any()
        assert (stored.integers == 0).sum() == (rounded == 0).sum() >= before.sum()
        assert not np.any(stored.zero_points)
    assert [row.path for row in keeper.report().layers] == list(NAMES)
    assert keeper.report().sparsity == pytest.approx(0.8, abs=1e-3)
    print(f"gzipped: plain {plain.file.bytes_gzipped}, 80 % zeros {report.file.bytes_gzipped}")
    assert report.file.bytes_gzipped < 0.55 * plain.file.bytes_gzipped
    assert accuracy(q, digits[1]) >= accuracy(model, digits[1]) - 0.01


def test_a_model_may_be_pruned_as_a_whole_and_by_data_and_is_kept_by_its_sparsity_alone(model, digits):
    criterion = compression.pruning.criteria.Taylor(digits[0][0][:64], digits[0][1][:64])
    report = compression.prune(model, 0.7, scope="global", criterion=criterion)
    gone = [kernel == 0 for kernel in inner_kernels(model)]
    assert len({round(before.mean(), 2) for before in gone}) == 3
    q = compiled(compression.quantize(model))
    keeper = Pruning(compression.ConstantSchedule(report.sparsity), scope="global")
    fitted(q, digits[0], 2, keeper, QuantizationAwareTraining(1, 2))
    for kernel, before in zip(inner_kernels(q), gone, strict=True):
        np.testing.assert_array_equal(kernel == 0, before)


def test_pruning_may_begin_on_the_quantized_model_with_the_names_of_the_float_one(model, digits):
    q = compiled(compression.quantize(model))
    schedule = compression.PolynomialSchedule(0.0, 0.6, begin_step=11, end_step=22, every=5)
    pruning = Pruning(schedule, targets=["conv", "head"], overrides={"head": 0.3})
    fitted(q, digits[0], 3, QuantizationAwareTraining(1, 2), pruning)
    assert [row.path for row in pruning.report().layers] == ["conv", "head"]
    shares = [(kernel == 0).mean() for kernel in rounded_kernels(q)]
    assert shares[0] >= 0.59
    assert 0.3 <= shares[2] < 0.4
    asked = compression.pruning.pruner.Pruner(q, schedule, targets=lambda path, variable: path == "wide")
    assert asked.targets[0].variable is q.get_layer("wide").layer.kernel


def test_names_of_layers_inside_models_are_found_in_the_quantized_copy(model, digits):
    inputs = keras.Input((8, 8, 1))
    outer = keras.Model(inputs, model(inputs))
    q = compression.quantize(outer)
    for name in ("wide", f"{model.name}/wide"):
        report = compression.prune(q, 0.5, targets=[name])
        assert [row.path for row in report.layers] == [f"{model.name}/wide"]


def test_a_channel_pruned_away_keeps_its_bias_in_the_file(model, digits, tmp_path):
    kernel, bias = model.get_layer("conv").kernel, model.get_layer("conv").bias
    kernel.assign(kernel.numpy() * (np.arange(16) != 3))
    bias.assign(2.5 + 0.01 * np.arange(16))
    q = compression.calibrate(compression.quantize(model), digits[0][0][:100])
    report = compression.export_litert(q, tmp_path / "model.tflite", samples=digits[1][0])
    assert report.gap_steps <= 1.001


@pytest.mark.parametrize(
    "weights", [pytest.param(8, id="per_channel", marks=pytest.mark.slow), pytest.param(PER_TENSOR, id="per_tensor")]
)
def test_a_clustered_model_keeps_its_few_values_while_it_is_quantized(model, digits, plain, tmp_path, weights):
    fitted(model, digits[0], 2, Clustering(16))
    q = compiled(compression.quantize(model, weights=weights))
    keeper, watch = Clustering(16), EveryStep(distinct)
    fitted(q, digits[0], 3, keeper, QuantizationAwareTraining(1, 2), watch)
    assert len(watch.seen) == 3 * 11
    assert max(max(seen) for seen in watch.seen) <= 16
    assert [row.path for row in keeper.report().layers] == list(NAMES)
    kernels, report = exported(q, tmp_path, digits)
    for rounded, stored in zip(rounded_kernels(q), kernels, strict=True):
        assert max(distinct(channel) for channel in stored.integers) <= 16
        if weights is PER_TENSOR:
            assert distinct(rounded) == distinct(stored.integers) <= 16
    print(f"gzipped: plain {plain.file.bytes_gzipped}, 16 values {report.file.bytes_gzipped}")
    assert report.file.bytes_gzipped < 0.8 * plain.file.bytes_gzipped
    assert accuracy(q, digits[1]) >= accuracy(model, digits[1]) - 0.01


def test_pruned_shrunk_and_quantized(model, digits, plain, tmp_path):
    schedule = compression.PolynomialSchedule(0.0, 0.5, begin_step=0, end_step=22, every=5)
    fitted(model, digits[0], 4, Pruning(schedule, pattern="channel"))
    small = compression.shrink(model)
    q = fitted(compiled(compression.quantize(small)), digits[0], 3, QuantizationAwareTraining(1, 2))
    kernels, report = exported(q, tmp_path, digits)
    assert [kernel.integers.shape[0] for kernel in kernels] == [8, 16, 10]
    assert report.file.bytes < 0.65 * plain.file.bytes
    assert accuracy(q, digits[1]) >= accuracy(model, digits[1]) - 0.01


@pytest.mark.parametrize(
    "order", [(0, 1, 2), *(pytest.param(order, marks=pytest.mark.slow) for order in [(2, 1, 0), (1, 2, 0)])]
)
def test_pruned_clustered_and_quantized(model, digits, plain, tmp_path, order):
    fitted(model, digits[0], 3, Pruning(compression.ConstantSchedule(0.8)))
    gone = [kernel == 0 for kernel in inner_kernels(model)]
    q = compiled(compression.quantize(model, weights=PER_TENSOR))
    watch = EveryStep(lambda kernel: (kernel == 0, distinct(kernel)))
    keep_zeros = Pruning(compression.ConstantSchedule(0.8))
    callbacks = [keep_zeros, Clustering(16, preserve_zeros=True), QuantizationAwareTraining(1, 2)]
    fitted(q, digits[0], 3, *(callbacks[place] for place in order), watch)
    for seen in watch.seen:
        for (zeros, values), before in zip(seen, gone, strict=True):
            np.testing.assert_array_equal(zeros, before)
            assert values <= 16
    kernels, report = exported(q, tmp_path, digits)
    for stored, before in zip(kernels, gone, strict=True):
        assert distinct(stored.integers) <= 16
        assert not stored.integers[in_the_layout_of_litert(before)].any()
    print(f"gzipped: plain {plain.file.bytes_gzipped}, 80 % zeros and 16 values {report.file.bytes_gzipped}")
    assert report.file.bytes_gzipped < 0.45 * plain.file.bytes_gzipped
    assert accuracy(q, digits[1]) >= accuracy(model, digits[1]) - 0.01
