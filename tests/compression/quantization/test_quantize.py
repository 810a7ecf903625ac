"""The trainable copy: equal at first, the original untouched, ranges and phase through files."""

import keras
import numpy as np
import pytest

from keras_arch.compression import PerTensor, Scheme, calibrate, left_in_float, quantize
from keras_arch.compression.quantization import QuantizedLayer, set_phase
from keras_arch.compression.quantization.phase import quantized_layers

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


def test_a_quantized_model_is_refused_by_name():
    with pytest.raises(ValueError, match="layer 'c' is quantized already"):
        quantize(quantize(functional()))


def backbone_and_head():
    inputs = keras.Input((6, 6, 2))
    return keras.Model(inputs, L.Dense(2, name="top")(functional()(inputs)))


def attention():
    inputs = keras.Input((5, 8))
    x = inputs * 0.5 + L.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    return keras.Model(inputs, L.Dense(3, name="top")(x[:, 0]))


def towers():
    first, second = keras.Input((4,)), keras.Input((4,))
    tower = keras.Sequential([keras.Input((4,)), L.Dense(3, activation="relu", name="d")], name="tower")
    return keras.Model([first, second], L.Dense(2, name="top")(L.Concatenate()([tower(first), tower(second)])))


def masked():
    tokens = keras.Input((5,), dtype="int32")
    x = L.Embedding(300, 8, mask_zero=True, name="e")(tokens)
    x = L.MultiHeadAttention(2, 4, name="attention")(x, x) + x
    return keras.Model(tokens, L.Dense(3, name="top")(L.GlobalAveragePooling1D()(x)))


def given(model, rng, samples=16):
    """Random inputs for a model: of tokens, all of its vocabulary and zeros."""
    arrays = [
        rng.integers(0, 300, (samples, *tensor.shape[1:])) * rng.integers(0, 2, (samples, *tensor.shape[1:]))
        if "int" in tensor.dtype
        else rng.normal(size=(samples, *tensor.shape[1:])).astype("float32")
        for tensor in model.inputs
    ]
    return arrays if len(arrays) > 1 else arrays[0]


@pytest.mark.parametrize("build", [backbone_and_head, attention, towers, masked])
def test_models_in_the_model_attention_operations_and_shared_layers_are_quantized_in_their_places(build, rng, tmp_path):
    model = build()
    x = given(model, rng)
    before = model.predict(x, verbose=0)
    q = quantize(model)
    np.testing.assert_allclose(q.predict(x, verbose=0), before, rtol=1e-5, atol=1e-6)
    assert q.count_params() - sum(weight.shape == () for weight in q.weights) == model.count_params()
    calibrate(q, x)
    rounded = q.predict(x, verbose=0)
    gap = np.abs(rounded - before).max() / np.abs(before).max()
    assert 0 < gap < 0.1
    for _, layer in quantized_layers(q):
        ends = [float(keras.ops.convert_to_numpy(end)) for pair in layer.ranges.values() for end in pair]
        assert any(ends) or not ends, layer.name
    q.save(tmp_path / "q.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "q.keras").predict(x, verbose=0), rounded)
    q.compile("adam", "mse")
    q.optimizer.build(q.trainable_variables)  # a fit that has to make its variables traces its step twice
    q.fit(x, before, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)


def test_every_tensor_of_attention_is_rounded_but_what_only_moves():
    q = quantize(attention())
    paths = {path for path, _ in quantized_layers(q)}
    assert {"attention/query", "attention/key", "attention/value", "attention/attention_output", "top"} <= paths
    assert any("softmax" in path for path in paths)
    assert left_in_float(q) == {}


def test_what_is_left_in_float_is_listed_with_its_reason():
    q = quantize(masked(), exclude=["top"])
    found = left_in_float(q)
    assert set(found) == {"attention", "top"}
    assert "more than one tensor" in found["attention"]
    assert found["top"] == "it was left in float"


def test_exclusions_reach_into_models_and_attention():
    q = quantize(backbone_and_head(), exclude=["net/c"])
    assert isinstance(q.get_layer("net").get_layer("c"), L.Conv2D)
    q = quantize(attention(), exclude=["attention"])
    assert isinstance(q.get_layer("attention"), L.MultiHeadAttention)
    assert {path for path, _ in quantized_layers(q)}.isdisjoint({"attention", "attention/query"})


def test_overrides_give_layers_schemes_of_their_own():
    def bits(q, path):
        layer = dict(quantized_layers(q))[path]
        return layer.weights_scheme.bits, layer.activations_scheme.bits

    q = quantize(backbone_and_head(), overrides={"top": 4, "net": (6, 16), "net/c": (None, 8)})
    assert bits(q, "top") == (4, 8)
    assert bits(q, "net/d") == (6, 16)
    assert bits(q, "net/c") == (8, 8)
    q = quantize(attention(), overrides={"attention": (5, 7), "key": 3})
    assert bits(q, "attention/query") == (5, 7)
    assert bits(q, "attention/key") == (3, 8)
    q = quantize(functional(), overrides=lambda path, layer: 4 if isinstance(layer, L.Dense) else None)
    assert (bits(q, "d"), bits(q, "c")) == ((4, 8), (8, 8))
    for wrong, match in (
        ({"e": 4}, "must name a layer of the model"),
        ({"d": 40}, "weights must be a number of bits"),
        ({"d": (4, 4, 4)}, "must have two entries"),
        (["d"], "overrides must map names"),
    ):
        with pytest.raises(ValueError, match=match):
            quantize(functional(), overrides=wrong)


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
