"""The types that a file is asked for follow from the schemes, and what no file has is refused."""

import keras
import pytest

from keras_arch.compression import Scheme, quantize
from keras_arch.compression.quantization.modes import mode_of

L = keras.layers


def net(**settings):
    layers = [keras.Input((4,)), L.Dense(3, name="d"), L.Dense(2, name="head")]
    return quantize(keras.Sequential(layers), **settings)


@pytest.mark.parametrize(
    ("settings", "name", "kernels", "activations"),
    [
        ({}, "w8a8", {"int8"}, {"int8"}),
        ({"weights": 4}, "w4a8", {"int4"}, {"int8"}),
        ({"activations": 16}, "w8a16", {"int8"}, {"int16"}),
        ({"weights": 4, "overrides": {"head": 8}}, "w4+8a8", {"int4", "int8"}, {"int8"}),
        ({"weights": 6}, "w6a8", {"int8"}, {"int8"}),
        ({"weights": 3}, "w3a8", {"int4"}, {"int8"}),
    ],
)
def test_schemes_decide(settings, name, kernels, activations):
    mode = mode_of(net(**settings), None)
    assert (mode.name, mode.kernels, mode.activations, mode.integer) == (name, kernels, activations, True)


@pytest.mark.parametrize(
    ("name", "kernels"), [("float32", {"float32"}), ("float16", {"float16"}), ("dynamic", {"int8"})]
)
def test_a_float_model_takes_a_mode(name, kernels):
    mode = mode_of(keras.Sequential([keras.Input((4,)), L.Dense(3)]), name)
    assert (mode.kernels, mode.activations, mode.integer) == (kernels, {"float32"}, False)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"activations": 4}, "activations must have 8 or 16 bits to be exported; layer 'd' has 4"),
        (
            {"weights": Scheme(6)},
            "weights of 6 bits must be symmetric and narrow to be exported; those of layer 'd' are",
        ),
        ({"weights": Scheme(3, False, narrow=True)}, "weights of 3 bits must be symmetric and narrow"),
        ({"activations": Scheme(16, symmetric=False)}, "must be symmetric to be exported; those of layer 'd' are not"),
    ],
)
def test_schemes_that_no_file_has_are_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        mode_of(net(**settings), None)


def test_sixteen_bits_do_not_pass_through_softmax():
    q = quantize(keras.Sequential([keras.Input((4,)), L.Dense(3), L.Softmax(name="s")]), activations=16)
    with pytest.raises(ValueError, match=r"takes 8 bits only; layer 's' is one. .* exclude=\['s'\]"):
        mode_of(q, None)


def test_names_that_do_not_fit_are_refused():
    plain = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    with pytest.raises(ValueError, match="mode must be one of"):
        mode_of(plain, "int8")
    with pytest.raises(ValueError, match="mode must be None for a quantized model, whose schemes decide"):
        mode_of(net(), "float16")
    with pytest.raises(ValueError, match=r"Call q = keras_arch.compression.quantize\(model\) first"):
        mode_of(plain, None)
