"""Models of the usual kinds, trained on real digits and exported to LiteRT: how far the files are from Keras."""

import keras
import pytest

import keras_arch as ka

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="LiteRT needs the TensorFlow backend")
L = keras.layers


def convolution(x, width, relu=True, **settings):
    x = L.BatchNormalization()(L.Conv2D(width, settings.pop("kernel", 3), padding="same", use_bias=False)(x))
    return L.ReLU(**settings)(x) if relu else x


def cnn(x):
    x = L.MaxPooling2D(2)(convolution(convolution(x, 16), 32))
    return L.Dense(64, activation="relu")(L.Flatten()(x))


def residual(x):
    x = convolution(x, 16)
    return L.GlobalAveragePooling2D()(L.ReLU()(L.Add()([x, convolution(convolution(x, 16), 16, relu=False)])))


def mobile(x):
    x = convolution(x, 16, max_value=6.0)
    for strides in (1, 2):
        x = L.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
        x = L.ReLU(max_value=6.0)(L.BatchNormalization()(x))
        x = convolution(x, 32, kernel=1, max_value=6.0)
    return L.GlobalAveragePooling2D()(x)


def recurrent(x):
    return L.LSTM(24)(L.Reshape((8, 8))(x))


def transformer(x):
    x = ka.layers.PatchEmbedding(2, 24)(x)
    for _ in range(2):
        x = ka.layers.TransformerEncoderBlock(3, 48)(x)
    return L.GlobalAveragePooling1D()(x)


CASES = {case.__name__: case for case in (cnn, residual, mobile, recurrent, transformer)}


@pytest.fixture(scope="module")
def trained(digits):
    """Name of a case to its model, trained once."""
    (x, y), _ = digits
    models = {}

    def get(name):
        if name not in models:
            keras.utils.set_random_seed(0)
            inputs = keras.Input((8, 8, 1))
            model = keras.Model(inputs, L.Dense(10)(CASES[name](inputs)))
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(5e-3), loss)
            model.fit(x, y, batch_size=64, epochs=4, verbose=0)
            models[name] = model
        return models[name]

    return get


@pytest.fixture(scope="module")
def exported(trained, digits, tmp_path_factory):
    """Name of a case and bits to the report of its file, written once."""
    reports = {}

    def get(name, weights=8, activations=8):
        case = name, weights, activations
        if case not in reports:
            q = ka.compression.quantize(trained(name), weights, activations)
            ka.compression.calibrate(q, digits[0][0][:300])
            path = tmp_path_factory.mktemp("exported") / "model.tflite"
            reports[case] = ka.compression.export_litert(q, path, samples=digits[1][0][:200])
        return reports[case]

    return get


@pytest.fixture(scope="module")
def whole(trained, digits, tmp_path_factory):
    """The report of the float file of the CNN."""
    path = tmp_path_factory.mktemp("whole") / "f.tflite"
    return ka.compression.export_litert(trained("cnn"), path, digits[1][0][:100], mode="float32")


# LiteRT multiplies sums by a fixed-point number and shifts them, rounding twice: a sum is one too high or low once in
# 2**(shift + 1) times. With 4-bit kernels the shifts are small, 1/16 of the values differ, and layers add up.
@pytest.mark.parametrize(("weights", "steps", "agreement"), [(8, 1.01, 1.0), (4, 2.01, 0.99)])
@pytest.mark.parametrize("name", [name for name in CASES if name != "transformer"])
def test_files_are_close_to_keras(name, weights, steps, agreement, exported):
    report = exported(name, weights)
    assert report.gap_steps <= steps
    assert report.mean_gap_steps <= (0.1 if weights == 8 else 0.5)
    assert report.argmax_agreement >= agreement


def test_a_transformer_keeps_its_answers(exported):
    # Its layer normalizations compute in float: a step at one of them is a step or more at the next.
    report = exported("transformer")
    assert report.int8_kernels == 1.0
    assert {operation.reason.split(":")[1] for operation in report.file.float_ops} == {
        " it is more than one product with its kernel"
    }
    assert report.mean_gap_steps <= 0.5
    assert report.gap_steps <= 4.01
    assert report.argmax_agreement >= 0.99


def test_four_bit_kernels_make_the_file_smaller(exported):
    eight, four = (exported("cnn", bits).file for bits in (8, 4))
    assert four.bytes <= 0.6 * eight.bytes
    assert four.kernel_types == {"int4": sum(eight.kernel_types.values())}


@pytest.mark.parametrize("name", ["cnn", "residual", "mobile"])
def test_sixteen_bit_activations_come_close_to_float(name, exported):
    report = exported(name, activations=16)
    assert report.file.mode == "w8a16"
    assert set(report.file.activation_types) == {"int16"}
    assert report.gap_steps <= 8  # 1/32 of a step of 8 bits
    assert report.argmax_agreement == 1.0


@pytest.mark.parametrize("mode", ["float16", "dynamic"])
def test_float_models_keep_their_answers(mode, trained, whole, digits, tmp_path):
    x = digits[1][0][:100]
    report = ka.compression.export_litert(trained("cnn"), tmp_path / "m.tflite", x, mode=mode)
    assert report.file.bytes < (0.6 if mode == "float16" else 0.4) * whole.file.bytes
    assert report.file.outputs[0].relative_difference < 0.05
    assert report.argmax_agreement == 1.0
