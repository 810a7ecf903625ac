"""Shrinking models: the outputs stay, the parameters go, by closed form."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_arch.compression import prune, shrink, shrink_report

pytestmark = pytest.mark.backend
L = keras.layers


def randomize(model, rng):
    for weight in model.weights:
        values = 0.5 * rng.standard_normal(weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.name else values)


def zero(model, name, filters, *, bias=True):
    """Zero filters of a layer, with their biases or without."""
    weights = model.get_layer(name).get_weights()
    weights[0][..., filters] = 0.0
    if bias and len(weights) > 1:
        weights[1][filters] = 0.0
    model.get_layer(name).set_weights(weights)


def assert_equal(small, model, rng, samples=4):
    """The models agree on random inputs, and on inputs of zeros where borders and biases are all there is."""
    for scale in (1.0, 0.0):
        x = [scale * rng.standard_normal((samples, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
        x = x if len(x) > 1 else x[0]
        for one, other in zip(keras.tree.flatten(small(x)), keras.tree.flatten(model(x)), strict=True):
            one, other = keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other)
            np.testing.assert_allclose(one, other, atol=1e-5 * max(1.0, np.abs(other).max()))


def checked(model, rng, **options):
    """Shrink, hold the model against its copy and the report, and the given one against what it was."""
    before, config = model.get_weights(), model.get_config()
    small = shrink(model, **options)
    assert_equal(small, model, rng)
    report = shrink_report(model, **options)
    assert (report.parameters, report.parameters_left) == (model.count_params(), small.count_params())
    cut = [layer for layer in small.layers if isinstance(layer, L.Dense) or hasattr(layer, "filters")]
    assert {row.name: row.left for row in report.layers} == {
        layer.name: layer.units if isinstance(layer, L.Dense) else layer.filters for layer in cut
    }
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
    assert model.get_config() == config
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    return small


def classifier(padding="valid"):
    return keras.Sequential(
        [
            keras.Input((10, 10, 1)),
            L.Conv2D(8, 3, activation="relu", padding=padding, name="a"),
            L.MaxPooling2D(2),
            L.Conv2D(6, 3, padding=padding, name="b"),
            L.ReLU(),
            L.Flatten(name="f"),
            L.Dense(5, activation="softmax", name="head"),
        ]
    )


def test_zero_filters_with_trained_biases_leave_an_unpadded_classifier(rng):
    model = classifier()
    randomize(model, rng)
    zero(model, "a", [0, 3, 4], bias=False)
    zero(model, "b", [1, 2], bias=False)
    small = checked(model, rng)
    assert small.count_params() == (9 * 5 + 5) + (9 * 5 * 4 + 4) + (2 * 2 * 4 * 5 + 5)


def test_beside_padded_borders_a_constant_stays_unless_it_is_zero(rng):
    model = classifier("same")
    randomize(model, rng)
    zero(model, "a", [0, 1, 2], bias=False)
    weights = model.get_layer("a").get_weights()
    weights[1][:3] = [0.7, -0.7, 0.0]  # after ReLU 0.7, 0 and 0
    model.get_layer("a").set_weights(weights)
    small = checked(model, rng)
    assert small.get_layer("a").filters == 6
    assert shrink_report(model).layers[0].constant == 1


def test_batch_normalization_turns_a_zero_filter_into_a_constant(rng):
    x = keras.Input((7, 7, 2))
    y = L.Conv2D(5, 3, use_bias=False, name="a")(x)
    y = L.BatchNormalization(name="bn")(y)
    model = keras.Model(x, L.Conv2D(3, 3, use_bias=False, name="b")(L.ReLU()(y)))
    randomize(model, rng)
    zero(model, "a", [0, 1])
    gamma, beta, mean, variance = model.get_layer("bn").get_weights()
    beta[:3], gamma[2] = [9.0, -9.0, 0.5], 0.0  # after ReLU: above 0, 0; and 0.5 of a filter that is not zero
    model.get_layer("bn").set_weights([gamma, beta, mean, variance])
    small = checked(model, rng)
    assert small.get_layer("a").filters == 2
    assert small.get_layer("b").use_bias, "the constants need a bias to move into"
    assert small.count_params() == 9 * 2 * 2 + 4 * 2 + (9 * 2 * 3 + 3)


def residual(padding="same"):
    x = keras.Input((6, 6, 3))
    stem = L.Conv2D(6, 3, padding="same", activation="relu", name="stem")(x)
    y = L.Conv2D(4, 3, padding=padding, name="inner")(stem)
    y = L.ReLU()(L.BatchNormalization(name="bn")(y))
    y = L.Conv2D(6, 3, padding="same", name="outer")(y)
    y = L.Add(name="sum")([stem, y])
    return keras.Model(x, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(y)))


def test_a_residual_group_goes_only_where_all_its_branches_are_dead(rng):
    model = residual()
    randomize(model, rng)
    zero(model, "stem", [0, 1, 2])
    zero(model, "outer", [1, 2, 3])
    small = checked(model, rng)
    assert [small.get_layer(name).filters for name in ("stem", "inner", "outer")] == [4, 4, 4]
    assert small.count_params() == (27 * 4 + 4) + (9 * 4 * 4 + 4) + 16 + (9 * 4 * 4 + 4) + (4 * 2 + 2)


def test_forced_channels_take_their_group_along(rng):
    model = residual()
    randomize(model, rng)
    small = shrink(model, channels={"outer": [5], "inner": [0, 1]})
    assert [small.get_layer(name).filters for name in ("stem", "inner", "outer")] == [5, 2, 5]
    for name, filters in (("stem", [5]), ("outer", [5])):
        zero(model, name, filters)
    weights = model.get_layer("outer").get_weights()
    weights[0][:, :, :2] = 0.0
    model.get_layer("outer").set_weights(weights)
    assert_equal(small, model, rng)


def test_filters_that_nobody_reads_go_with_what_only_they_read(rng):
    model = classifier("same")
    randomize(model, rng)
    kernel, bias = model.get_layer("b").get_weights()
    kernel[:, :, 0, 1:] = 0.0  # filter 0 of a is read by filter 0 of b alone,
    model.get_layer("b").set_weights([kernel, bias])
    kernel, bias = model.get_layer("head").get_weights()
    kernel[0::6] = 0.0  # which the head does not read
    model.get_layer("head").set_weights([kernel, bias])
    small = checked(model, rng)
    assert [small.get_layer(name).filters for name in ("a", "b")] == [7, 5]


def test_a_graph_of_many_kinds_of_layers(rng):
    x = keras.Input((8, 8, 3), name="x")
    a = L.Conv2D(6, 3, padding="same", activation="relu", name="a")(x)
    b = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="b")(a)
    b = L.SeparableConv2D(5, 3, activation="tanh", name="c")(L.ZeroPadding2D(1)(b))
    squeezed = L.Dense(2, "relu", name="s")(L.GlobalAveragePooling2D(keepdims=True)(b))
    b = L.Multiply()([b, L.Dense(5, "sigmoid", name="gate")(squeezed)])
    c = L.Concatenate(name="cat")([a, b, L.Conv2D(2, 1, name="d")(b)])
    up = L.Conv2DTranspose(4, 2, strides=2, name="up")(L.AveragePooling2D(2)(c))
    e = L.Dense(4, name="e")(c) + up
    model = keras.Model(
        x, {"map": L.Conv2D(2, 3, name="map")(e), "class": L.Dense(3, "softmax", name="class")(L.Flatten()(c))}
    )
    randomize(model, rng)
    zero(model, "a", [0, 5])
    weights = model.get_layer("b").get_weights()
    weights[1][[0, 1, 10, 11]] = 0.0
    model.get_layer("b").set_weights(weights)
    weights = model.get_layer("c").get_weights()
    weights[1][..., 3], weights[2][3] = 0.0, 0.0
    model.get_layer("c").set_weights(weights)
    zero(model, "d", [1], bias=False)
    zero(model, "e", [2])
    weights = model.get_layer("up").get_weights()
    weights[0][:, :, 2], weights[1][2] = 0.0, 0.0
    model.get_layer("up").set_weights(weights)
    small = checked(model, rng)
    left = {row.name: row.left for row in shrink_report(model).layers}
    # d sends out a constant, which would fit into the biases of class and e, but not into the transposed up.
    assert left == {"a": 4, "c": 4, "s": 2, "gate": 4, "d": 2, "up": 3, "e": 3, "map": 2, "class": 3}
    assert small.get_layer("b").get_weights()[0].shape == (3, 3, 4, 2)


def test_a_shared_layer_is_cut_alike_in_both_calls(rng):
    x, shared = keras.Input((9, 3)), L.Conv1D(4, 1, name="shared")
    left, right = L.Conv1D(5, 3, name="left")(x), L.Conv1D(5, 3, name="right")(x)
    model = keras.Model(x, L.Dense(2)(L.Concatenate(axis=1)([shared(left), shared(right)])))
    randomize(model, rng)
    zero(model, "left", [0, 1], bias=False)
    zero(model, "right", [0, 1, 2], bias=False)
    for name in ("left", "right"):
        kernel, bias = model.get_layer(name).get_weights()
        bias[0] = 0.25  # the same constant in both calls
        model.get_layer(name).set_weights([kernel, bias])
    small = checked(model, rng)
    assert [small.get_layer(name).filters for name in ("left", "right", "shared")] == [4, 4, 4]


@pytest.mark.parametrize("make", [classifier, residual])
def test_a_model_without_dead_channels_is_copied(make, rng):
    model = make()
    randomize(model, rng)
    small = checked(model, rng)
    assert small is not model
    for one, other in zip(small.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_dead_model_keeps_one_channel_a_layer(rng):
    model = classifier()
    randomize(model, rng)
    zero(model, "a", list(range(8)), bias=False)
    zero(model, "b", list(range(6)), bias=False)
    small = checked(model, rng)
    assert [small.get_layer(name).filters for name in ("a", "b")] == [1, 1]


def test_what_cannot_be_traced_is_named_and_kept(rng):
    x = keras.Input((6, 3))
    y = L.Dense(4, name="a")(x)
    y = L.LayerNormalization(name="norm")(y)
    y = L.Dense(4, name="b")(y)
    model = keras.Model(x, L.Dense(2)(L.GRU(3, name="gru")(y)))
    randomize(model, rng)
    zero(model, "a", [0])
    zero(model, "b", [0])
    checked(model, rng)
    report = shrink_report(model)
    assert report.parameters_left == report.parameters
    assert [name for name, _ in report.untraced] == ["norm", "gru"]
    assert "gru is kept: GRU is not known to keep channels apart" in str(report)


def drawn(rng):
    """A random small network, sequential or with sums and concatenations, with random filters zeroed."""
    x = keras.Input((7, 7, 2))
    tensors = [L.Conv2D(4, 1, name="c0")(x)]
    for i in range(1, 6):
        source = tensors[rng.integers(len(tensors))]
        kind = rng.integers(6)
        if kind == 0:
            new = L.Conv2D(4, 3, padding="same", activation="relu", name=f"c{i}")(source)
        elif kind == 1:
            new = L.Conv2D(4, 1, use_bias=bool(rng.integers(2)), activation="elu", name=f"c{i}")(source)
        elif kind == 2:
            new = L.ReLU()(L.BatchNormalization(name=f"bn{i}")(source))
        elif kind == 3:
            new = L.DepthwiseConv2D(3, padding="same", name=f"dw{i}")(source)
        elif kind == 4:
            other = tensors[rng.integers(len(tensors))]
            new = (L.Add() if rng.integers(2) else L.Multiply())(
                [source, L.AveragePooling2D(3, 1, padding="same")(other)]
            )
        else:
            new = L.Conv2D(4, 1, name=f"c{i}")(L.Concatenate()([source, tensors[-1]]))
        tensors.append(new)
    valid = L.Conv2D(3, 3, name="last")(tensors[-1])
    model = keras.Model(x, [L.Dense(2, name="head")(L.Flatten()(valid)), L.GlobalMaxPooling2D()(tensors[-2])])
    randomize(model, rng)
    for layer in model.layers:
        if type(layer) is L.Conv2D:
            zero(model, layer.name, np.flatnonzero(rng.random(layer.filters) < 0.5), bias=bool(rng.integers(2)))
        if isinstance(layer, L.BatchNormalization):
            weights = layer.get_weights()
            quiet = rng.random(4) < 0.3
            weights[0][quiet], weights[1][quiet] = 0.0, 0.0
            layer.set_weights(weights)
    return model


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_compute_the_same(seed):
    rng = np.random.default_rng(seed)
    model = drawn(rng)
    small = checked(model, rng)
    assert small.count_params() < model.count_params(), "half of the filters are zero: some of them have to go"


def test_shrinking_twice_is_shrinking_once(rng):
    model = residual()
    randomize(model, rng)
    zero(model, "stem", [0, 1])
    zero(model, "outer", [0, 1])
    small = shrink(model)
    assert shrink_report(small).parameters_left == small.count_params() < model.count_params()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_models_shrink(policy, rng):
    keras.config.set_dtype_policy(policy)
    model = classifier()
    randomize(model, rng)
    zero(model, "a", [0, 3, 4], bias=False)
    small = shrink(model)
    assert small.get_layer("a").filters == 5
    assert small.get_layer("a").dtype_policy.name == policy
    x = rng.standard_normal((4, 10, 10, 1))
    np.testing.assert_allclose(small.predict(x, verbose=0), model.predict(x, verbose=0), atol=0.05)


def test_a_shrunk_model_trains_and_is_a_stock_keras_model(tmp_path, rng):
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy")
    zero(model, "a", [0, 3, 4])
    small = shrink(model)
    assert not small.compiled
    small.compile("adam", "sparse_categorical_crossentropy", jit_compile=keras.backend.backend() == "jax")
    x, y = rng.standard_normal((8, 10, 10, 1)).astype("float32"), np.arange(8) % 5
    small.fit(x, y, verbose=0)
    small.save(tmp_path / "small.keras")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", small.predict(x, verbose=0))
    code = (
        "import sys, keras, numpy as np; folder = sys.argv[1]\n"
        "model = keras.saving.load_model(folder + '/small.keras')\n"
        "x, y = np.load(folder + '/x.npy'), np.load(folder + '/y.npy')\n"
        "assert model.get_layer('a').filters == 5 and 'keras_arch' not in sys.modules\n"
        "np.testing.assert_allclose(model.predict(x, verbose=0), y, atol=1e-5)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("channels", [["a"], "a", 3])
def test_channels_that_are_no_mapping_are_refused(channels):
    with pytest.raises(ValueError, match="channels must map names of layers to indices; received channels="):
        shrink(classifier(), channels=channels)


def test_unknown_layers_and_models_without_a_graph_are_refused():
    with pytest.raises(ValueError, match="channels must name a layer of the model; received channels='z'"):
        shrink(classifier(), channels={"z": [0]})
    with pytest.raises(ValueError, match="it needs a graph"):
        shrink(keras.Sequential([L.Dense(1)]))


def squeeze_excite(x, channels):
    gate = L.Reshape((1, 1, channels))(L.GlobalAveragePooling2D()(x))
    gate = L.Dense(channels, "sigmoid", name="excite")(L.Dense(3, "relu", name="squeeze")(gate))
    return L.Multiply()([x, gate])


def test_a_gate_loses_the_channels_of_what_it_multiplies(rng):
    inputs = keras.Input((6, 6, 3))
    x = squeeze_excite(L.Conv2D(8, 3, activation="relu", name="conv")(inputs), 8)
    model = keras.Model(inputs, L.Dense(2, name="head")(L.GlobalMaxPooling2D()(x)))
    randomize(model, rng)
    zero(model, "conv", [1, 4, 5])
    zero(model, "squeeze", [2])
    small = checked(model, rng)
    assert [small.get_layer(name).output.shape[-1] for name in ("conv", "squeeze", "excite")] == [5, 2, 5]


def nested(kind):
    inputs = keras.Input((8, 8, 3))
    if kind == "sequential":
        parts = [L.Conv2D(6, 3, name="first"), L.ReLU(), L.Conv2D(5, 1, name="second")]
        inner = keras.Sequential([keras.Input((8, 8, 4)), *parts], name="inner")
    else:
        entry = keras.Input((8, 8, 4))
        x = L.Conv2D(6, 3, padding="same", name="first")(entry)
        x = L.Add()([x, L.Conv2D(6, 1, name="second")(entry)])
        deep = keras.Sequential([keras.Input((8, 8, 6)), L.Conv2D(5, 1, name="third"), L.ReLU()], name="deep")
        inner = keras.Model(entry, deep(x), name="inner")
    x = inner(L.Conv2D(4, 1, name="before")(inputs))
    return keras.Model(inputs, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_models_inside_the_model_are_cut_too(rng, kind):
    model = nested(kind)
    randomize(model, rng)
    inner = model.get_layer("inner")
    zero(model, "before", [0, 2])
    zero(inner, "first", [1, 5])
    if kind == "functional":
        zero(inner, "second", [1, 4])  # joined by the sum: only 1 is dead in both
    before = model.get_weights()
    small = shrink(model)
    assert_equal(small, model, rng)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    left = small.get_layer("inner")
    assert left.input_shape == (None, 8, 8, 2)
    assert left.get_layer("first").filters == {"sequential": 4, "functional": 5}[kind]
    rows = {row.name: row.left for row in shrink_report(model).layers}
    assert rows["inner/first"] == left.get_layer("first").filters
    assert shrink_report(model).parameters_left == small.count_params()


def test_channels_of_a_model_inside_are_named_by_their_path(rng):
    model = nested("functional")
    randomize(model, rng)
    small = shrink(model, channels={"inner/deep/third": [0, 3]})
    assert small.get_layer("inner").get_layer("deep").get_layer("third").filters == 3


def test_a_shared_model_inside_stays_whole(rng):
    inputs = [keras.Input((4,)), keras.Input((4,))]
    inner = keras.Sequential([keras.Input((4,)), L.Dense(6, "relu", name="body"), L.Dense(3)], name="inner")
    model = keras.Model(inputs, L.Dense(1)(L.Add()([inner(x) for x in inputs])))
    randomize(model, rng)
    zero(inner, "body", [0])
    small = shrink(model)
    assert_equal(small, model, rng)
    assert small.get_layer("inner").get_layer("body").units == 6
    assert "shared" in dict(shrink_report(model).untraced)["inner"]


def test_numbers_are_added_and_multiplied_with_channel_by_channel(rng):
    """A hard swish of bare operations: x relu6(x + 3) / 6."""
    inputs = keras.Input((6, 6, 3))
    x = L.Conv2D(8, 3, name="conv")(inputs)
    x = x * (L.ReLU(6.0)(x + 3.0) * (1 / 6))
    model = keras.Model(inputs, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(x)))
    randomize(model, rng)
    zero(model, "conv", [1, 4, 5])
    assert checked(model, rng).get_layer("conv").filters == 5
    assert not shrink_report(model).untraced


def test_a_number_that_makes_a_constant_is_moved_into_the_bias(rng):
    inputs = keras.Input((6,))
    x = (L.Dense(5, name="body")(inputs) + 2.0) * 3
    model = keras.Model(inputs, L.Dense(2, name="head")(x))
    randomize(model, rng)
    zero(model, "body", [0, 3])
    assert checked(model, rng).get_layer("body").units == 3


def test_differences_with_numbers_are_not_followed(rng):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, L.Dense(2, name="head")(1.0 - L.Dense(5, name="body")(inputs)))
    randomize(model, rng)
    zero(model, "body", [0])
    assert checked(model, rng).get_layer("body").units == 5
    assert "it is called with 1.0 beside tensors" in dict(shrink_report(model).untraced).values()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most"), [("ResNet50", 0.3), ("MobileNetV2", 0.3), ("MobileNetV3Small", 0.3), ("EfficientNetB0", 0.3)]
)
def test_networks_of_keras_lose_half_of_their_channels(rng, name, most):
    make = getattr(keras.applications, name)
    backbone = make(weights=None, include_top=False, input_shape=(64, 64, 3))
    inputs = keras.Input((64, 64, 3))
    model = keras.Model(inputs, L.Dense(5, name="head")(L.GlobalAveragePooling2D()(backbone(inputs))))
    for weight in model.weights:
        if "kernel" not in weight.name:
            values = 0.1 * rng.standard_normal(weight.shape)
            weight.assign(values + 1 if weight.name == "gamma" or "variance" in weight.name else values)
    prune(model, 0.5, pattern="channel")
    small = shrink(model)
    assert small.count_params() < most * model.count_params()
    x = rng.standard_normal((2, 64, 64, 3)).astype("float32")
    masked, cut = (keras.ops.convert_to_numpy(network(x, training=False)) for network in (model, small))
    assert np.abs(masked).max() > 1e-3
    np.testing.assert_allclose(cut, masked, atol=1e-5 * np.abs(masked).max())
