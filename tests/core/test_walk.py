"""Walking models of every construction, with and without nesting and sharing."""

import keras
import pytest

from keras_arch.core.walk import find, locate, path_of, plain_paths, walk


def nested_model() -> keras.Model:
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")], name="inner")
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(2, name="head")(inner(inputs))
    return keras.Model(inputs, outputs)


class Branches(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [keras.layers.Dense(4, name="first"), keras.layers.Dense(4, name="second")]
        self.shared = self.blocks[0]

    def call(self, inputs):
        return self.blocks[1](self.shared(inputs))


def layers_with_weights(model):
    return [path for path, layer in walk(model) if isinstance(layer, keras.layers.Dense)]


def test_paths_of_nested_models_join_names_by_a_slash():
    assert layers_with_weights(nested_model()) == ["inner/head", "head"]


def test_layers_held_in_a_list_are_found_once_although_shared():
    model = Branches()
    model(keras.ops.ones((1, 4)))
    assert layers_with_weights(model) == ["first", "second"]


def test_a_sequential_model_without_input_hides_its_inner_functional_model():
    model = keras.Sequential([keras.layers.Dense(2, name="only")])
    assert layers_with_weights(model) == ["only"]
    model(keras.ops.ones((1, 3)))
    assert layers_with_weights(model) == ["only"]


def test_every_variable_of_a_model_is_reached():
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.Bidirectional(keras.layers.LSTM(2)), nested_model()])
    reached = {id(v) for _, layer in walk(model) for v in layer.variables}
    assert {id(v) for v in model.variables} <= reached


def test_find_takes_whole_paths_ends_of_paths_and_bare_names():
    model = nested_model()
    assert find(model, "inner/head") is model.get_layer("inner").get_layer("head")
    assert find(model, "head") is model.get_layer("head")
    deep = keras.Sequential([keras.Input((4,)), model], name="outer")
    assert find(deep, "inner/head") is model.get_layer("inner").get_layer("head")


def test_find_names_the_candidates_of_an_ambiguous_name():
    deep = keras.Sequential([keras.Input((4,)), nested_model()], name="outer")
    with pytest.raises(ValueError, match="must name one layer.*inner/head"):
        find(deep, "head")


class Named(keras.layers.Wrapper):
    """A wrapper with the name of what is inside, as `compression.quantize` makes them."""

    def __init__(self, layer):
        super().__init__(layer, name=layer.name)

    def call(self, inputs):
        return self.layer(inputs)


def test_a_wrapper_of_the_same_name_adds_nothing_to_what_users_type():
    nested = nested_model()
    nested = keras.Model(nested.inputs, nested.outputs, name="outer")
    inner = keras.Sequential([keras.Input((4,)), Named(nested), keras.layers.Dense(3, name="tail")], name="part")
    model = keras.Sequential([keras.Input((4,)), inner])
    known = plain_paths(model)
    assert known["part/outer"] == known["part/outer/outer"] == "part/outer"
    assert known["part/outer/outer/inner/head"] == "part/outer/inner/head"
    wrapper = inner.get_layer("outer")
    for typed in ("outer", "part/outer"):
        assert find(model, typed) is wrapper
    for typed in ("part/outer/inner/head", "outer/inner/head", "inner/head"):
        assert find(model, typed) is wrapper.layer.get_layer("inner").get_layer("head")
    with pytest.raises(ValueError, match="must name one layer"):
        find(model, "head")


def test_a_layer_inside_one_of_its_name_that_is_no_wrapper_has_a_path_of_its_own():
    part = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="same")], name="same")
    model = keras.Sequential([keras.Input((2,)), part])
    assert plain_paths(model)["same/same"] == "same/same"


def test_find_names_the_nearest_layers():
    with pytest.raises(ValueError, match="received layer='inner/haed'.*nearest are: inner/head"):
        find(nested_model(), "inner/haed")


def test_path_of_is_the_inverse_of_find():
    model = nested_model()
    for path, layer in walk(model):
        assert path_of(model, layer) == path


def test_path_of_a_foreign_layer_raises():
    with pytest.raises(ValueError, match="must be part of the model"):
        path_of(nested_model(), keras.layers.Dense(1, name="stranger"))


def test_locate_takes_names_paths_and_objects():
    model = nested_model()
    inner = model.get_layer("inner").get_layer("head")
    for choice in ("inner/head", inner):
        assert locate(model, choice) == (inner, "inner/head")
    with pytest.raises(ValueError, match="layer must be a layer, its name or its path; received layer=2"):
        locate(model, 2)
    with pytest.raises(ValueError, match="must be part of the model"):
        locate(model, keras.layers.Dense(1))
