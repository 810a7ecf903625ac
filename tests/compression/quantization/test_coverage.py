"""Where tensors are rounded: what layers do decides, not what they are called."""

import keras
import pytest

from keras_arch.compression.graph import graph_of
from keras_arch.compression.quantization.coverage import (
    Coverage,
    fixed_range,
    moves_values,
    recognise,
    separates_activation,
)

L = keras.layers


def placements(inputs, outputs, exclude=()):
    return Coverage(graph_of(keras.Model(inputs, outputs)), exclude, 8).placements


@pytest.mark.parametrize(
    ("layer", "moves"),
    [
        (L.MaxPooling2D(2), True),
        (L.Flatten(), True),
        (L.Reshape((-1, 3)), True),
        (L.Permute((2, 1, 3)), True),
        (L.ZeroPadding2D(1), True),
        (L.Cropping2D(1), True),
        (L.UpSampling2D(2), True),
        (L.Dropout(0.5), True),
        (L.GaussianNoise(1.0), True),
        (L.GlobalMaxPooling2D(), True),
        (L.Activation("linear"), True),
        (L.AveragePooling2D(2), False),
        (L.UpSampling2D(2, interpolation="bilinear"), False),
        (L.ReLU(), False),
        (L.Activation("tanh"), False),
        (L.Rescaling(2.0), False),
        (L.LeakyReLU(), False),
        (L.BatchNormalization(), False),
    ],
)
def test_layers_that_move_values_are_told_by_their_values(layer, moves):
    built = layer.built
    assert moves_values(layer, (None, 6, 6, 3)) is moves
    assert layer.built is built, "the user's own layer was built"


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (L.ReLU(), "relu"),
        (L.ReLU(max_value=6), "relu6"),
        (L.Activation("relu"), "relu"),
        (L.Softmax(), "softmax"),
        (keras.activations.sigmoid, "sigmoid"),
        (lambda x: keras.ops.maximum(x, 0), "relu"),
        (keras.activations.tanh, "tanh"),
        (keras.activations.gelu, None),
        (L.LeakyReLU(), None),
        (L.ReLU(threshold=1.0), None),
    ],
)
def test_activations_are_told_by_their_values(function, name):
    assert recognise(function, (None, 5)) == name


def test_only_activations_at_the_end_of_a_layer_separate():
    assert separates_activation(L.Conv2D(2, 3, activation="tanh"), (None, 5, 5, 1))
    assert not separates_activation(L.LSTM(2, activation="tanh"), (None, 5, 3))


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


def test_what_an_excluded_layer_or_a_bare_operation_makes_is_rounded_by_its_taker():
    inputs = keras.Input((4,))
    x = L.Dense(4, name="kept")(inputs)
    found = placements(inputs, L.Dense(2, name="next")(x + 1.0), exclude=["kept"])
    assert found["kept"] is None
    assert found["next"].inputs == (0,)


@pytest.mark.parametrize("before", [L.Dense(3), L.MaxPooling2D(2), L.Conv2D(2, 3, activation="relu"), L.Dropout(0.1)])
def test_a_batch_normalization_that_litert_cannot_fold_is_named(before):
    inputs = keras.Input((8, 8, 2))
    outputs = L.BatchNormalization(name="lone")(before(inputs))
    with pytest.raises(ValueError, match=r"layer 'lone' follows .*exclude=\['lone'\]"):
        placements(inputs, outputs)
    assert placements(inputs, outputs, exclude=["lone"])["lone"] is None


def test_a_layer_used_twice_is_named_unless_it_needs_no_wrapper():
    inputs = keras.Input((4,))
    dense, flat = L.Dense(4, name="twice"), L.Flatten()
    with pytest.raises(ValueError, match="calls layer 'twice' 2 times"):
        placements(inputs, dense(dense(inputs)))
    x = flat(L.Dense(4)(inputs))
    assert placements(inputs, L.Dense(2)(flat(L.Dense(3)(x))))[flat.name] is None


def test_fixed_ranges_end_one_step_below_one():
    assert fixed_range("softmax", 8) == (0.0, 1 - 1 / 256)
    assert fixed_range("tanh", 8) == (-1.0, 1 - 1 / 128)
    assert fixed_range("relu", 8) is None
