"""Channels as groups: which go, that they are dead in fact, and that the masked model is the shrunk one."""

import keras
import numpy as np
import pytest
from keras import layers as L

from keras_arch.callbacks import Pruning
from keras_arch.compression import ConstantSchedule, PolynomialSchedule, Pruner, prune, shrink
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
