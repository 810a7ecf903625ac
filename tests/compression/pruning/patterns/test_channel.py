"""Channels as groups: which go, that they are dead in fact, and that the masked model is the shrunk one."""

import keras
import numpy as np
import pytest
from keras import layers as L

import keras_arch as ka
from keras_arch.callbacks import Pruning
from keras_arch.compression import ConstantSchedule, PolynomialSchedule, Pruner, prune, shrink, shrink_report
from keras_arch.compression.pruning.patterns import Channel

pytestmark = pytest.mark.backend


def randomized(model, rng):
    """Every weight off its initial value, variances positive; what counts for nothing must not look as if it did."""
    for weight in model.weights:
        value = rng.normal(size=weight.shape)
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.name else value)
    return model


def plain():
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 3, use_bias=False, name="first")(inputs)
    x = L.ReLU()(L.BatchNormalization(name="norm")(x))
    x = L.Conv2D(4, 3, activation="relu", name="second")(x)
    return keras.Model(inputs, L.Dense(5, name="head")(L.Flatten()(x)))


def residual():
    inputs = keras.Input((8, 8, 3))
    trunk = L.Conv2D(6, 3, padding="same", name="stem")(inputs)
    x = L.Conv2D(4, 3, padding="same", activation="relu", name="inner")(trunk)
    x = L.BatchNormalization(name="norm")(L.Conv2D(6, 1, name="back")(x))
    x = L.ReLU()(L.Add()([trunk, x]))
    return keras.Model(inputs, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(x)))


def depthwise():
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 1, name="expand")(inputs)
    x = L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu", name="depthwise")(x)
    x = L.Conv2D(4, 1, activation="relu", name="project")(x)
    return keras.Model(inputs, L.Dense(2, name="head")(L.GlobalMaxPooling2D()(x)))


def kinds():
    inputs = keras.Input((4, 4, 3))
    left = L.SeparableConv2D(6, 3, padding="same", activation="relu", name="separable")(inputs)
    right = L.Conv2DTranspose(4, 2, padding="same", activation="relu", name="transposed")(inputs)
    x = L.Concatenate()([left, right])
    return keras.Model(inputs, L.Conv2D(2, 1, name="head")(x))


# model, and the sets of kernels whose channels go together: (layer, axis of the filters).
CASES = {
    "plain": (plain, [[("first", -1)], [("second", -1)]]),
    "residual": (residual, [[("stem", -1), ("back", -1)], [("inner", -1)]]),
    "depthwise": (depthwise, [[("expand", -1)], [("project", -1)]]),
    "kinds": (kinds, [[("separable", -1)], [("transposed", -2)]]),
}


def kernel_of(model, name):
    layer = model.get_layer(name)
    kernel = layer.pointwise_kernel if isinstance(layer, L.SeparableConv2D) else layer.kernel
    return keras.ops.convert_to_numpy(kernel)


def biased(model):
    return [model.get_layer(name) for name in ("stem", "inner", "back")]


def by_filter(model, name, axis):
    kernel = np.moveaxis(np.abs(kernel_of(model, name)), axis, -1)
    return kernel.reshape(-1, kernel.shape[-1])


@pytest.mark.parametrize("case", CASES)
def test_the_smallest_channels_go_and_the_shrunk_model_is_the_masked_one(rng, case):
    make, sets = CASES[case]
    model = randomized(make(), rng)
    expected = []
    for members in sets:
        means = np.concatenate([by_filter(model, *member) for member in members]).mean(axis=0)
        expected.append(sorted(np.argsort(means)[: len(means) // 2].tolist()))
    x = rng.normal(size=(4, *model.input_shape[1:])).astype("float32")
    before = model.predict(x, verbose=0)
    prune(model, 0.5, pattern="channel")
    small = shrink(model)
    for members, gone in zip(sets, expected, strict=True):
        for name, axis in members:
            filters = by_filter(model, name, axis)
            assert np.flatnonzero((filters == 0).all(axis=0)).tolist() == gone
            assert (filters != 0).any(axis=0).sum() == small.get_layer(name).filters == filters.shape[1] // 2
    masked = model.predict(x, verbose=0)
    assert np.abs(masked - before).max() > 1e-3
    np.testing.assert_allclose(small.predict(x, verbose=0), masked, rtol=1e-5, atol=1e-5)


def test_what_a_channel_takes_along(rng):
    model = randomized(residual(), rng)
    pruner = Pruner(model, ConstantSchedule(0.5), pattern=Channel())
    assert [target.path for target in pruner.targets] == ["stem", "inner", "back"]
    norm = model.get_layer("norm")
    along = {id(variable) for variable in pruner.variables[3:]}
    assert along == {id(weight) for weight in (norm.gamma, norm.beta, *(layer.bias for layer in biased(model)))}
    pruner.prune(0.5)
    stem, back = (model.get_layer(name) for name in ("stem", "back"))
    dead = (by_filter(model, "stem", -1) == 0).all(axis=0)
    assert dead.sum() == 3
    for weight in (stem.bias, back.bias, norm.gamma, norm.beta):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight) == 0, dead)
    for weight in (norm.moving_mean, norm.moving_variance, model.get_layer("head").kernel):
        assert (keras.ops.convert_to_numpy(weight) != 0).all()


def test_in_fit_every_step_has_the_channels_the_schedule_asks_for(rng):
    model = plain()
    model.compile("adam", "mse")
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            now = self.model  # brings the state home on JAX
            seen.append([int((by_filter(now, name, -1) == 0).all(axis=0).sum()) for name in ("first", "second")])

    schedule = PolynomialSchedule(0.0, 0.5, begin_step=1, end_step=3, every=1, power=1)
    pruning = Pruning(schedule, pattern="channel")
    x, y = rng.normal(size=(16, 8, 8, 3)), rng.normal(size=(16, 5))
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, callbacks=[pruning, Look()], verbose=0)
    assert seen[0] == [0, 0]
    assert seen[-5:] == [[3, 2]] * 5
    assert (keras.ops.convert_to_numpy(model.get_layer("norm").beta) == 0).sum() == 3
    small = shrink(model)
    assert (small.get_layer("first").filters, small.get_layer("second").filters) == (3, 2)
    np.testing.assert_allclose(small.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


def test_a_global_ranking_compares_channels_of_all_layers(rng):
    model = randomized(plain(), rng)
    model.get_layer("second").kernel.assign(10 * kernel_of(model, "second"))
    prune(model, 0.5, scope="global", pattern="channel")  # 5 of 10: all that "first" can lose
    dead = [int((by_filter(model, name, -1) == 0).all(axis=0).sum()) for name in ("first", "second")]
    assert dead == [5, 0]


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_one_channel_of_each_set_stays(rng, scope):
    model = randomized(plain(), rng)
    prune(model, 0.99, scope=scope, pattern="channel")
    assert [(by_filter(model, name, -1) != 0).any(axis=0).sum() for name in ("first", "second")] == [1, 1]


def test_a_set_takes_the_sparsity_of_the_layer_that_has_its_own(rng):
    model = randomized(residual(), rng)
    prune(model, 0.5, pattern="channel", overrides={"back": 1 / 3})
    dead = [int((by_filter(model, name, -1) == 0).all(axis=0).sum()) for name in ("stem", "back", "inner")]
    assert dead == [2, 2, 2]
    with pytest.raises(ValueError, match=r"overrides must be the same .* received \[0.2, 0.4\] for stem, back"):
        Pruner(model, ConstantSchedule(0.5), pattern="channel", overrides={"back": 0.2, "stem": 0.4})


def test_channels_that_others_make_too_stay(rng):
    model = randomized(residual(), rng)
    prune(model, 0.5, pattern="channel", targets=lambda path, variable: variable.name == "kernel" and path != "back")
    assert (by_filter(model, "inner", -1) == 0).all(axis=0).sum() == 2
    assert (kernel_of(model, "stem") != 0).all()


def test_what_cannot_go_is_refused_with_the_reason(rng):
    model = randomized(residual(), rng)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"received head: the model returns it\. Name layers"):
        prune(model, 0.5, pattern="channel", targets=["head"])
    with pytest.raises(ValueError, match="stem: its channels are made by other layers too, which are not targets"):
        prune(model, 0.5, pattern="channel", targets=["stem"])
    inputs = keras.Input((6, 4))
    gate = keras.Model(inputs, L.Dense(1)(L.LSTM(3, name="memory")(inputs)))
    with pytest.raises(ValueError, match="memory/lstm_cell: LSTM is not known to keep channels apart"):
        prune(gate, 0.5, pattern="channel")

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(2)

        def call(self, x):
            return self.dense(x)

    own = Subclassed()
    own(np.ones((1, 3)))
    with pytest.raises(ValueError, match="model must be Sequential or functional"):
        prune(own, 0.5, pattern="channel")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def around(block, channels=4, nested=None):
    """A model with a block inside, or inside a model inside."""
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(channels, 3, padding="same", name="stem")(inputs)
    if nested == "sequential":
        block = keras.Sequential([keras.Input(x.shape[1:]), block], name="inner")
    elif nested == "functional":
        entry = keras.Input(x.shape[1:])
        block = keras.Model(entry, L.ReLU()(block(entry)), name="inner")
    return keras.Model(inputs, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(block(x))))


def norm(channels):
    return 4 * channels


# block; its writing kernels by attribute and how many channels each counts for; the arguments of the smaller block;
# parameters of that: 4 channels go in.
BLOCKS = {
    "residual": (
        lambda: ka.layers.ResidualBlock(6, use_bias=True, strides=2, name="block"),
        {"hidden_filters": ["conv1"]},
        {"hidden_filters": 3},
        (9 * 4 * 3 + 3 + norm(3)) + (9 * 3 * 6 + 6 + norm(6)) + (4 * 6 + 6 + norm(6)),
    ),
    "pre": (
        lambda: ka.layers.ResidualBlock(4, hidden_filters=8, norm_placement="pre", activation="gelu", name="block"),
        {"hidden_filters": ["conv1"]},
        {"hidden_filters": 4},
        (norm(4) + 9 * 4 * 4) + (norm(4) + 9 * 4 * 4),
    ),
    "without_normalization": (
        lambda: ka.layers.ResidualBlock(4, normalization=None, use_bias=True, name="block"),
        {"hidden_filters": ["conv1"]},
        {"hidden_filters": 2},
        (9 * 4 * 2 + 2) + (9 * 2 * 4 + 4),
    ),
    "sigmoid": (  # sigmoid(0) is 1/2: the reader must not listen
        lambda: ka.layers.ResidualBlock(4, activation="sigmoid", name="block"),
        {"hidden_filters": ["conv1"]},
        {"hidden_filters": 2},
        (9 * 4 * 2 + norm(2)) + (9 * 2 * 4 + norm(4)),
    ),
    "bottleneck": (
        lambda: ka.layers.BottleneckBlock(8, width=6, name="block"),
        {"width": ["conv1"], "hidden_filters": ["conv2"]},
        {"width": 3, "hidden_filters": 3},
        (4 * 3 + norm(3)) + (9 * 3 * 3 + norm(3)) + (3 * 8 + norm(8)) + (4 * 8 + norm(8)),
    ),
    "bottleneck_sigmoid": (
        lambda: ka.layers.BottleneckBlock(4, width=6, activation="sigmoid", hidden_filters=4, name="block"),
        {"width": ["conv1"], "hidden_filters": ["conv2"]},
        {"width": 3, "hidden_filters": 2},
        (4 * 3 + norm(3)) + (9 * 3 * 2 + norm(2)) + (2 * 4 + norm(4)),
    ),
    "resnext": (  # channels go by whole groups
        lambda: ka.layers.BottleneckBlock(8, width=8, groups=4, name="block"),
        {"groups": ["conv1", "conv2"]},
        {"width": 4, "groups": 2},
        (4 * 4 + norm(4)) + (9 * 2 * 4 + norm(4)) + (4 * 8 + norm(8)) + (4 * 8 + norm(8)),
    ),
    "inverted": (
        lambda: ka.layers.InvertedResidualBlock(4, 2, use_bias=True, name="block"),
        {"hidden_filters": ["expand_conv"]},
        {"hidden_filters": 4},
        (4 * 4 + 4 + norm(4)) + (9 * 4 + 4 + norm(4)) + (4 * 4 + 4 + norm(4)),
    ),
    "inverted_first": (
        lambda: ka.layers.InvertedResidualBlock(5, 2, strides=2, padding="symmetric", activation="silu", name="block"),
        {"hidden_filters": ["expand_conv"]},
        {"hidden_filters": 4},
        (4 * 4 + norm(4)) + (9 * 4 + norm(4)) + (4 * 5 + norm(5)),
    ),
}


@pytest.mark.parametrize(
    ("case", "nested"),
    [*((case, None) for case in BLOCKS), ("residual", "sequential"), ("inverted", "functional")],
)
def test_the_smallest_filters_inside_a_block_go(rng, case, nested):
    make, writers, arguments, parameters = BLOCKS[case]
    block = make()
    model = randomized(around(block, nested=nested), rng)
    expected = {}
    for argument, names in writers.items():
        size = block.groups if argument == "groups" else getattr(block, names[0]).filters
        rows = [np.moveaxis(np.abs(keras.ops.convert_to_numpy(getattr(block, name).kernel)), -1, 0) for name in names]
        means = np.concatenate([row.reshape(size, -1) for row in rows], axis=1).mean(axis=1)
        expected[argument] = sorted(np.argsort(means)[: size // 2].tolist())
    x = rng.normal(size=(3, 8, 8, 3)).astype("float32")
    before = model.predict(x, verbose=0)
    report = prune(model, 0.5, pattern="channel")
    path = "inner/block/" if nested else "block/"
    assert {row.path for row in report.layers} == {path + name for names in writers.values() for name in names}
    masked = model.predict(x, verbose=0)
    assert np.isfinite(masked).all()
    assert np.abs(masked - before).max() > 1e-3
    inner = {each.argument: each for each in block.inner_channels()}
    assert {name: np.flatnonzero(inner[name].dead()).tolist() for name in expected} == expected
    small = shrink(model)
    smaller = (small.get_layer("inner") if nested else small).get_layer("block")
    assert {name: getattr(smaller, name) for name in arguments} == arguments
    assert smaller.count_params() == parameters
    assert small.count_params() == shrink_report(model).parameters_left
    np.testing.assert_allclose(small.predict(x, verbose=0), masked, rtol=1e-5, atol=1e-5 * np.abs(masked).max())


SQUEEZED = {
    "layer": lambda: ka.layers.SqueezeExcite(ratio=1.0, name="block"),
    "residual": lambda: ka.layers.ResidualBlock(6, squeeze_excite=0.7, name="block"),
    "residual_given": lambda: ka.layers.ResidualBlock(6, squeeze_excite=ka.layers.SqueezeExcite(0.7), name="block"),
    "inverted": lambda: ka.layers.InvertedResidualBlock(4, 2, squeeze_excite=1.0, activation="silu", name="block"),
    "inverted_given": lambda: ka.layers.InvertedResidualBlock(
        4, 2, squeeze_excite=ka.layers.SqueezeExcite(0.5, divisor=4, gate="hard_sigmoid"), name="block"
    ),
    "convnext": lambda: ka.layers.ConvNeXtBlock(3, expansion=2, layer_scale=0.5, name="block"),
    "channels_first": lambda: ka.layers.ConvNeXtBlock(3, expansion=2, data_format="channels_first", name="block"),
}


def dense_of(block):
    """The two dense layers with hidden units between them."""
    if isinstance(block, ka.layers.ConvNeXtBlock):
        return block.expand_dense, block.project_dense
    given = getattr(block, "squeeze_excite", None)
    layer = given if isinstance(given, keras.Layer) else getattr(block, "excitation", block)
    return layer.squeeze_dense, layer.excite_dense


@pytest.mark.parametrize("case", SQUEEZED)
def test_hidden_units_of_blocks_go_too(rng, case, tmp_path):
    block = SQUEEZED[case]()
    model = randomized(around(block, 8 if case == "channels_first" else 4), rng)
    writer, reader = (keras.ops.convert_to_numpy(dense.kernel) for dense in dense_of(block))
    means = np.concatenate([np.abs(writer), np.abs(reader.T)]).mean(axis=0)
    gone = sorted(np.argsort(means)[: len(means) // 2].tolist())
    x = rng.normal(size=(3, 8, 8, 3)).astype("float32")
    before = model.predict(x, verbose=0)
    prune(model, 0.5, pattern="channel")
    masked = model.predict(x, verbose=0)
    assert np.abs(masked - before).max() > 1e-3
    after = keras.ops.convert_to_numpy(dense_of(block)[0].kernel)
    assert np.flatnonzero((after == 0).all(axis=0)).tolist() == gone
    small = shrink(model)
    left, _ = dense_of(small.get_layer("block"))
    assert left.units == len(means) - len(gone)
    if "inverted" in case:
        assert left.kernel.shape[0] == small.get_layer("block").hidden_filters == 4
    assert small.count_params() == shrink_report(model).parameters_left < model.count_params()
    np.testing.assert_allclose(small.predict(x, verbose=0), masked, rtol=1e-5, atol=1e-5 * np.abs(masked).max())
    small.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), small.predict(x, verbose=0), atol=1e-6)


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}], ids=str)
def test_a_normalization_without_scale_or_center_lets_channels_die(rng, options):
    """Without gamma the mean comes through: then the reader's weights go; without beta gamma alone decides."""
    block = ka.layers.ResidualBlock(6, normalization=L.BatchNormalization(**options), name="block")
    model = randomized(around(block), rng)
    prune(model, 0.5, pattern="channel")
    x = rng.normal(size=(3, 8, 8, 3)).astype("float32")
    masked = model.predict(x, verbose=0)
    small = shrink(model)
    assert small.get_layer("block").hidden_filters == 3
    np.testing.assert_allclose(small.predict(x, verbose=0), masked, rtol=1e-5, atol=1e-5 * np.abs(masked).max())


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_in_fit_blocks_lose_channels_step_by_step(rng, activation):
    """Also where one kernel loses rows and columns: a row that is gone says nothing against the columns."""
    block = ka.layers.BottleneckBlock(4, width=4, activation=activation, name="block")
    model = around(block)
    model.compile("adam", "mse")
    schedule = PolynomialSchedule(0.0, 0.5, begin_step=1, end_step=4, every=1, power=1)
    x, y = rng.normal(size=(24, 8, 8, 3)), rng.normal(size=(24, 2))
    pruning = Pruning(schedule, pattern="channel")
    model.fit(x, y, batch_size=4, epochs=2, callbacks=[pruning], verbose=0)
    assert [inner.dead().sum() for inner in block.inner_channels()] == [2, 2]
    small = shrink(model)
    assert (small.get_layer("block").width, small.get_layer("block").hidden_filters) == (2, 2)
    np.testing.assert_allclose(small.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


def test_kernels_inside_that_are_no_targets_are_named(rng):
    model = randomized(around(ka.layers.ConvNeXtBlock(3, name="block")), rng)
    with pytest.raises(ValueError, match="received block/expand_dense: its channels are made by other layers too"):
        prune(model, 0.5, pattern="channel", targets=["block/expand_dense"])
