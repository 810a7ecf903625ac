"""The trainable copy: equal at first, the original untouched, ranges and phase through files."""

import keras
import numpy as np
import pytest

from keras_arch.compression import PerTensor, Scheme, calibrate, quantize
from keras_arch.compression.quantization import QuantizedLayer, set_phase

pytestmark = pytest.mark.backend
L = keras.layers


def functional():
    inputs = keras.Input((6, 6, 2), name="image")
    x = L.ReLU(name="r")(L.BatchNormalization(name="b")(L.Conv2D(4, 3, use_bias=False, name="c")(inputs)))
    x = L.Dropout(0.2, name="drop")(L.Flatten(name="f")(x))
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="d")(x), name="net")


def sequential():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            L.DepthwiseConv2D(3, name="c"),
            L.BatchNormalization(name="b"),
            L.ReLU(6.0, name="r"),
            L.Flatten(name="f"),
            L.Dense(3, name="d"),
        ]
    )


@pytest.mark.parametrize("build", [functional, sequential])
def test_the_copy_computes_bitwise_what_the_model_does_and_leaves_it_alone(build, rng):
    model = build()
    model.layers[-1].trainable = False
    x = rng.normal(size=(4, 6, 6, 2)).astype("float32")
    before, weights, config = model.predict(x, verbose=0), model.get_weights(), model.to_json()
    q = quantize(model)
    np.testing.assert_array_equal(q.predict(x, verbose=0), before)
    assert type(q) is type(model)
    assert [layer.name for layer in q.layers] == [layer.name for layer in model.layers]
    assert not q.get_layer("d").layer.trainable
    q.get_layer("c").layer.trainable_weights[0].assign(np.zeros(q.get_layer("c").layer.trainable_weights[0].shape))
    calibrate(q, x)
    assert not np.array_equal(q.predict(x, verbose=0), before)
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.to_json() == config


def test_save_load_continue_keeps_ranges_phase_and_every_bit(tmp_path, rng):
    x, y = rng.normal(size=(32, 6, 6, 2)).astype("float32"), rng.integers(0, 3, 32)
    q = quantize(functional(), weights=4, activations=8)
    q.compile("adam", "sparse_categorical_crossentropy")
    set_phase(q, "quantize")
    q.fit(x, y, verbose=0, shuffle=False)
    expected = q.predict(x, verbose=0)
    q.save(tmp_path / "q.keras")
    again = keras.saving.load_model(tmp_path / "q.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
    assert again.get_layer("r").quantization_phase == "quantize"
    for name, ends in q.get_layer("r").ranges.items():
        assert [float(end) for end in ends] == [float(end) for end in again.get_layer("r").ranges[name]]
    again.fit(x, y, verbose=0, shuffle=False)
    assert int(again.get_layer("r").batches) == int(q.get_layer("r").batches) + 1
    set_phase(again, "frozen")
    assert np.isfinite(again.predict(x, verbose=0)).all()


def test_rounded_kernels_train(rng):
    model = keras.Sequential([keras.Input((4,)), L.Dense(8, activation="relu"), L.Dense(1)])
    x = rng.normal(size=(64, 4)).astype("float32")
    y = x[:, :1] - 2 * x[:, 1:2]
    q = calibrate(quantize(model), x)
    set_phase(q, "quantize")
    q.compile(keras.optimizers.Adam(0.02), "mse")
    losses = q.fit(x, y, epochs=30, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]


def test_schemes_and_exclusions_reach_the_layers():
    model = functional()
    q = quantize(model, Scheme(4, granularity=PerTensor()), 8, exclude=["d"])
    assert q.get_layer("c").kernel_axes == [()]
    assert q.get_layer("c").weights_scheme.bits == 4
    assert isinstance(q.get_layer("d"), L.Dense)
    assert not isinstance(quantize(model, exclude=[model.get_layer("d")]).get_layer("d"), QuantizedLayer)
    for wrong, match in (("d", "must be a list"), ([3], "must hold layers"), (["e"], "must name a layer of the model")):
        with pytest.raises(ValueError, match=match):
            quantize(model, exclude=wrong)


def test_nested_and_quantized_models_are_refused_by_name():
    inputs = keras.Input((6, 6, 2))
    with pytest.raises(ValueError, match="layer 'net' is itself a model"):
        quantize(keras.Model(inputs, functional()(inputs)))
    with pytest.raises(ValueError, match="layer 'c' is quantized already"):
        quantize(quantize(functional()))


@pytest.mark.parametrize("bits", [1, 9, 2.5, "8", True])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(ValueError, match="weights must be a number of bits"):
        quantize(functional(), weights=bits)
    with pytest.raises(ValueError, match="activations must be a number of bits"):
        quantize(functional(), activations=bits)


def test_a_model_compiled_with_a_function_is_copied(rng):
    model = sequential()
    model.compile("sgd", loss=lambda target, output: keras.ops.mean(keras.ops.square(target - output)))
    assert quantize(model).get_layer("c").quantization_phase == "observe"
