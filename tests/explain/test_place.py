"""Places: layers by path, one call of a shared layer, and the embedding of tokens."""

import keras
import numpy as np
import pytest

from keras_arch.explain import place
from keras_arch.explain.probe import Probe

L = keras.layers
pytestmark = pytest.mark.backend


def model():
    inner = keras.Sequential([keras.Input((2,)), L.Dense(3, name="head")], name="inner")
    return keras.Sequential([keras.Input((2,)), inner])


def test_a_number_after_a_colon_is_a_call():
    net = model()
    for text, call, path in (("inner/head", None, "inner/head"), ("head:1", 1, "inner/head:1")):
        tap, found = place.locate(net, text)
        assert tap.layer is net.layers[0].get_layer("head")
        assert (tap.call, found) == (call, path)


def test_an_unknown_layer_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"layer must name a layer .* received layer='haed'.* inner/head"):
        place.locate(model(), "haed:1")


def test_the_one_embedding_of_token_ids_is_found_inside_a_model():
    inner = keras.Sequential([keras.Input((3,), dtype="int32"), L.Embedding(5, 2, name="words")], name="inner")
    inputs = keras.Input((3,), dtype="int32")
    net = keras.Model(inputs, L.Dense(2)(L.Flatten()(inner(inputs))))
    assert place.embedding_of(Probe(net), np.ones((1, 3), "int32")) == "inner/words"
    assert place.embedding_of(Probe(model()), np.ones((1, 2), "float32")) is None


def test_tokens_beside_floats_are_refused():
    tokens, table = keras.Input((3,), dtype="int32"), keras.Input((2,))
    joined = L.Concatenate()([L.Flatten()(L.Embedding(5, 2, name="words")(tokens)), table])
    net = keras.Model([tokens, table], L.Dense(2)(joined))
    with pytest.raises(ValueError, match=r"received dtype int32, and the model has the embeddings words"):
        place.embedding_of(Probe(net), [np.ones((1, 3), "int32"), np.ones((1, 2), "float32")])


def test_calls_are_summed_when_they_have_one_shape():
    np.testing.assert_array_equal(place.merge_calls([np.ones((1, 2)), np.full((1, 2), 2.0)]), [[3.0, 3.0]])
    np.testing.assert_array_equal(place.merge_calls(np.ones(2)), np.ones(2))
    with pytest.raises(ValueError, match=r"layer must return one shape at all of its 2 calls"):
        place.merge_calls([np.ones((1, 2)), np.ones((1, 3))])
