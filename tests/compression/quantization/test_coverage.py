"""Where tensors are rounded: what layers do decides, not what they are called."""

import keras
import pytest

import keras_arch as ka
from keras_arch.compression.graph import graph_of
from keras_arch.compression.quantization.coverage import Coverage, fixed_range
from keras_arch.compression.quantization.trials import (
    is_one_product,
)

L = keras.layers


def placements(inputs, outputs, exclude=()):
    return Coverage(graph_of(keras.Model(inputs, outputs)), exclude, 8).placements


def test_conv_norm_relu_is_rounded_once_at_its_end():
    x = inputs = keras.Input((8, 8, 1))
    for layer in (
        L.Conv2D(2, 3, name="c"),
        L.BatchNormalization(name="b"),
        L.ReLU(name="r"),
        L.MaxPooling2D(2, name="p"),
    ):
        x = layer(x)
    found = placements(inputs, L.Dense(3, name="d")(L.Flatten(name="f")(x)))
    assert (found["c"].inputs, found["c"].outputs) == ((0,), ())
    assert (found["b"].inputs, found["b"].outputs) == ((), ())
    assert (found["r"].inputs, found["r"].outputs) == ((), (0,))
    assert found["p"] is None
    assert found["f"] is None
    assert (found["d"].inputs, found["d"].outputs, found["d"].before_activation) == ((), (0,), False)


def test_residual_branches_are_rounded_where_they_part_and_meet():
    inputs = keras.Input((8, 8, 2))
    x = L.ReLU(name="r")(L.Conv2D(2, 3, padding="same", name="c")(inputs))
    y = L.BatchNormalization(name="b")(L.Conv2D(2, 3, padding="same", name="c2")(x))
    found = placements(inputs, L.ReLU(name="end")(L.Add(name="sum")([x, y])))
    assert {name: found[name].outputs for name in ("c", "r", "c2", "b", "sum", "end")} == {
        "c": (),
        "r": (0,),
        "c2": (),
        "b": (0,),
        "sum": (),
        "end": (0,),
    }


def test_an_output_that_is_also_used_inside_is_rounded():
    inputs = keras.Input((8, 8, 2))
    x = L.Conv2D(2, 3, name="c")(inputs)
    assert placements(inputs, [x, L.ReLU()(x)])["c"].outputs == (0,)


def test_activations_that_litert_keeps_apart_are_rounded_before_and_after():
    inputs = keras.Input((4,))
    hidden = L.Dense(3, activation="gelu", name="h")(inputs)
    found = placements(inputs, L.Dense(3, activation="softmax", name="s")(hidden))
    assert found["h"].before_activation
    assert found["h"].output_range is None
    assert found["s"].before_activation
    assert found["s"].output_range == (0.0, 255 / 256)


def test_activations_inside_a_layer_stay_there():
    inputs = keras.Input((5, 3))
    assert not placements(inputs, L.LSTM(2, name="cell")(inputs))["cell"].before_activation


def test_what_an_excluded_layer_makes_is_rounded_by_its_taker():
    inputs = keras.Input((4,))
    x = L.Dense(4, name="kept")(inputs)
    found = placements(inputs, L.Dense(2, name="next")(x), exclude=["kept"])
    assert found["kept"] is None
    assert found["next"].inputs == (0,)


def test_a_bare_operation_is_rounded_like_a_layer():
    inputs = keras.Input((4,))
    total = keras.ops.add(L.Dense(4, name="one")(inputs), 1.0)
    found = placements(inputs, L.Dense(2, name="next")(keras.ops.relu(total)))
    assert found[total._keras_history.operation.name].outputs == (0,)
    assert found["next"].inputs == ()


def test_integers_are_never_rounded():
    tokens = keras.Input((5,), dtype="int32")
    found = placements(tokens, L.Dense(2)(L.Flatten()(L.Embedding(1000, 3, name="e")(tokens))))
    assert (found["e"].inputs, found["e"].outputs) == ((), (0,))
    assert found["e"].in_float is None


def test_what_is_put_together_has_one_scale_when_nothing_else_reads_the_parts():
    inputs = keras.Input((4,))
    tower = L.Dense(3, activation="relu", name="tower")
    alone, other = L.Dense(2, name="alone")(inputs), L.Dense(2, name="other")(inputs)
    joined = L.Concatenate(name="joined")([tower(inputs), tower(L.Dense(4)(inputs)), alone, other, L.Softmax()(alone)])
    found = placements(inputs, joined)
    assert found["tower"].outputs == found["other"].outputs == ()
    assert found["alone"].outputs == (0,), "softmax reads it too"
    assert found["joined"].outputs == (0,)


@pytest.mark.parametrize("before", [L.Dense(3), L.MaxPooling2D(2), L.Conv2D(2, 3, activation="relu"), L.Dropout(0.1)])
def test_a_batch_normalization_that_litert_cannot_fold_computes_in_float(before):
    inputs = keras.Input((8, 8, 2))
    outputs = L.BatchNormalization(name="lone")(before(inputs))
    lone = placements(inputs, outputs)["lone"]
    assert "not alone behind a convolution" in lone.in_float
    assert lone.outputs == (0,)
    assert placements(inputs, outputs, exclude=["lone"])["lone"] is None


def test_a_folded_batch_normalization_is_integer():
    inputs = keras.Input((8, 8, 2))
    found = placements(inputs, L.BatchNormalization(name="b")(L.Conv2D(2, 3, name="c")(inputs)))
    assert found["b"].in_float is found["c"].in_float is None


@pytest.mark.parametrize(
    ("layer", "product"),
    [(L.Conv1D(2, 3, activation="gelu"), True), (L.LayerNormalization(), False), (L.LSTM(2), False)],
)
def test_layers_are_integer_when_they_are_one_product(layer, product):
    inputs = keras.Input((6, 3))
    layer(inputs)
    assert is_one_product(layer, (None, 6, 3)) is product
    assert (placements(inputs, layer(inputs))[layer.name].in_float is None) is product


def test_a_scale_is_integer_and_a_scale_with_an_offset_is_not():
    inputs = keras.Input((6, 3))
    layers = [ka.layers.LayerScale(0.1), L.Normalization(mean=[1.0, 0.0, 2.0], variance=[1.0] * 3)]
    layers += [L.Rescaling(2.0, 1.0), L.Rescaling(2.0), L.AveragePooling1D(2), L.LeakyReLU()]
    for layer, whole in zip(layers, (True, False, False, True, True, True), strict=True):
        assert (placements(inputs, layer(inputs))[layer.name].in_float is None) is whole


def test_a_layer_used_twice_is_placed_for_both_calls():
    inputs = keras.Input((4,))
    dense = L.Dense(4, name="twice")
    found = placements(inputs, dense(dense(inputs)))
    assert (found["twice"].inputs, found["twice"].outputs) == ((0,), (0,))


def test_fixed_ranges_end_one_step_below_one():
    assert fixed_range("softmax", 8) == (0.0, 1 - 1 / 256)
    assert fixed_range("tanh", 8) == (-1.0, 1 - 1 / 128)
    assert fixed_range("relu", 8) is None
