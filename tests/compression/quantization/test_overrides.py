"""Schemes by path: the innermost that is named wins."""

import keras
import pytest

from keras_arch.compression import Scheme
from keras_arch.compression.quantization.overrides import Schemes
from keras_arch.compression.quantization.scheme import as_scheme

L = keras.layers


def schemes(overrides):
    inner = keras.Sequential([keras.Input((3,)), L.Dense(3, name="a"), L.Dense(3, name="b")], name="inner")
    model = keras.Sequential([keras.Input((3,)), inner, L.Dense(2, name="head")])
    return Schemes(model, as_scheme("weights", 8), as_scheme("activations", 8), overrides)


def bits(found, path):
    return tuple(scheme.bits for scheme in found.of(path))


def test_the_innermost_layer_that_is_named_wins():
    found = schemes({"inner": (6, 7), "inner/b": 4, "head": (None, 16)})
    assert bits(found, "inner/a") == (6, 7)
    assert bits(found, "inner/b") == (4, 8)
    assert bits(found, "inner/b/part") == (4, 8)
    assert bits(found, "head") == (8, 16)
    assert bits(found, "elsewhere") == (8, 8)


def test_a_callable_is_asked_for_every_path():
    seen = []
    found = schemes(lambda path, layer: seen.append(path) or (Scheme.for_weights(5) if path.endswith("a") else None))
    assert {"inner", "inner/a", "inner/b", "head"} <= set(seen)
    assert (bits(found, "inner/a"), bits(found, "head")) == ((5, 8), (8, 8))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"nothing": 4}, "overrides must name a layer"),
        ({"head": 1}, "weights must be a number of bits"),
        ({"head": (8, 1)}, "activations must be a number of bits"),
        ({"head": (8,)}, r"overrides\['head'\] must have two entries"),
        (8, "overrides must map names"),
    ],
)
def test_what_says_nothing_is_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        schemes(wrong)
