"""Channels through squeeze and excitation: cut where they are zero, kept where others are weighed by them."""

import keras
import numpy as np
import pytest
from keras import layers as L

import keras_arch as ka
from keras_arch.compression import prune, shrink, shrink_report
from keras_arch.compression.pruning.shrinking.channels import UntraceableError
from keras_arch.compression.pruning.shrinking.gating import Gating, gates

pytestmark = pytest.mark.backend


def network(activation="relu", norm=False, **options):
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 3, padding="same", name="first")(inputs)
    x = L.BatchNormalization(name="norm")(x) if norm else x
    x = ka.layers.SqueezeExcite(ratio=1.0, name="excite", **options)(L.Activation(activation)(x))
    x = L.Conv2D(4, 3, name="second")(x)
    return keras.Model(inputs, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(x)))


def randomized(model, rng):
    for weight in model.weights:
        value = rng.normal(size=weight.shape)
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.name else value)
    return model


def silence(model, filters, bias=0.0):
    kernel, biases = model.get_layer("first").get_weights()
    kernel[..., filters], biases[filters] = 0, bias
    model.get_layer("first").set_weights([kernel, biases])


def assert_equal(small, model, rng):
    x = rng.normal(size=(3, 8, 8, 3)).astype("float32")
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(small.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("options", [{}, {"use_bias": False}], ids=str)
def test_channels_of_zeros_are_cut_on_both_sides(rng, options):
    model = randomized(network(**options), rng)
    silence(model, [1, 4])
    small = shrink(model)
    assert small.get_layer("first").filters == 4
    excite = small.get_layer("excite")
    assert excite.squeeze_dense.kernel.shape == (4, 6)
    biases = 10 if excite.use_bias else 0
    assert excite.count_params() == 2 * 4 * 6 + biases
    assert small.count_params() == shrink_report(model).parameters_left
    assert not shrink_report(model).untraced
    assert_equal(small, model, rng)


def test_a_constant_that_weighs_others_stays(rng):
    """relu(0.5) is no zero: it takes part in the mean that weighs the rest, and comes out weighed."""
    model = randomized(network(), rng)
    silence(model, [1, 4], bias=[0.5, -0.5])
    small = shrink(model)
    assert small.get_layer("first").filters == 5
    assert_equal(small, model, rng)


def test_a_channel_that_nobody_reads_stays_where_it_weighs_others(rng):
    model = randomized(network(), rng)
    kernel, bias = model.get_layer("second").get_weights()
    kernel[:, :, [0, 5]] = 0
    model.get_layer("second").set_weights([kernel, bias])
    squeeze = model.get_layer("excite").squeeze_dense.kernel
    array = squeeze.numpy()
    array[5] = 0
    squeeze.assign(array)
    small = shrink(model)
    assert small.get_layer("first").filters == 5  # 0 weighs others, 5 does not
    assert_equal(small, model, rng)


@pytest.mark.parametrize("norm", [False, True])
def test_pruned_channels_and_units_go_together(rng, norm):
    model = randomized(network(norm=norm), rng)
    first = np.abs(keras.ops.convert_to_numpy(model.get_layer("first").kernel)).mean(axis=(0, 1, 2))
    report = prune(model, 0.5, pattern="channel")
    assert [row.path for row in report.layers[:1]] == ["first"]
    left = np.abs(keras.ops.convert_to_numpy(model.get_layer("first").kernel)).max(axis=(0, 1, 2))
    assert np.flatnonzero(left == 0).tolist() == sorted(np.argsort(first)[:3].tolist())
    small = shrink(model)
    excite = small.get_layer("excite")
    assert excite.squeeze_dense.kernel.shape == (3, 3)
    assert excite.width == 3
    rows = {row.name: row.left for row in shrink_report(model).layers}
    assert (rows["first"], rows["excite.width"], rows["second"]) == (3, 3, 2)
    assert small.count_params() == shrink_report(model).parameters_left
    assert_equal(small, model, rng)


def test_a_shared_gate_is_cut_where_all_its_inputs_are_zero(rng):
    inputs = keras.Input((8, 8, 3))
    gate = ka.layers.SqueezeExcite(ratio=0.5, name="excite")
    parts = [gate(L.Conv2D(6, 1, activation="relu", name=name)(inputs)) for name in ("first", "other")]
    model = keras.Model(inputs, L.Conv2D(2, 1, name="head")(L.Concatenate()(parts)))
    randomized(model, rng)
    silence(model, [0, 2])
    kernel, bias = model.get_layer("other").get_weights()
    kernel[..., [2, 3]], bias[[2, 3]] = 0, 0
    model.get_layer("other").set_weights([kernel, bias])
    small = shrink(model)
    assert [small.get_layer(name).filters for name in ("first", "other")] == [5, 5]
    assert_equal(small, model, rng)


def test_gates_that_mix_channels_are_named(rng):
    model = randomized(network(gate="softmax"), rng)
    silence(model, [1])
    small = shrink(model)
    assert small.get_layer("first").filters == 6
    assert dict(shrink_report(model).untraced) == {"excite": "its channels come first, or it mixes them"}
    assert_equal(small, model, rng)
    with pytest.raises(UntraceableError, match="it mixes them"):
        Gating(model.get_layer("excite"))
    assert gates(model.get_layer("excite"))
    assert not gates(keras.ops.relu)
