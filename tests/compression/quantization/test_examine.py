"""A file that is not what was asked for is refused, with the tensor that is wrong."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_arch.compression import calibrate, quantize
from keras_arch.compression.quantization.litert_contents import Contents, StoredOperation, StoredTensor
from keras_arch.compression.quantization.modes import mode_of
from keras_arch.compression.quantization_report import FloatOperation

if keras.backend.backend() != "tensorflow":
    pytest.skip("LiteRT needs the TensorFlow backend", allow_module_level=True)

from keras_arch.compression.quantization import litert
from keras_arch.compression.quantization.examine import examine, refuse_wrong_types

L = keras.layers


def file_of(kernel="int8", output="int8", shape=(3, 4)):
    """Contents of one fully connected operation between QUANTIZE and DEQUANTIZE."""
    given = StoredTensor("x", "float32", (1, 4), False)
    taken = StoredTensor("x/q", output, (1, 4), False)
    weights = StoredTensor("w", kernel, shape, True)
    made, out = StoredTensor("y", output, (1, 3), False), StoredTensor("y/f", "float32", (1, 3), False)
    return Contents(
        (
            StoredOperation("QUANTIZE", (given,), (taken,)),
            StoredOperation("FULLY_CONNECTED", (taken, weights, None), (made,)),
            StoredOperation("DEQUANTIZE", (made,), (out,)),
        ),
        (),
    )


def asked(weights=8, activations=8):
    return mode_of(quantize(keras.Sequential([keras.Input((4,)), L.Dense(3)]), weights, activations), None)


def floating(name):
    return mode_of(keras.Sequential([keras.Input((4,)), L.Dense(3)]), name)


@pytest.mark.parametrize(
    ("contents", "mode", "float_ops"),
    [
        (file_of(), asked(), ()),
        (file_of("int4"), asked(4), ()),
        (file_of("int8", "int16"), asked(8, 16), ()),
        (file_of("float16", "float32"), floating("float16"), ()),
        (file_of("int8", "float32"), floating("dynamic"), ()),
        (file_of("float32", "float32"), asked(), (FloatOperation("FULLY_CONNECTED", "excluded"),)),
    ],
)
def test_what_was_asked_for_is_accepted(contents, mode, float_ops):
    assert refuse_wrong_types(contents, mode, float_ops) is None


def test_what_litert_computes_wrongly_is_refused():
    # LiteRT 2.3 reads 4-bit kernels of depthwise convolutions as 8-bit ones where activations have 16 bits.
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype("float32")
    for activations in (8, 16):
        layers = [keras.Input((6, 6, 2)), L.DepthwiseConv2D(3, name="d")]
        q = calibrate(quantize(keras.Sequential(layers), 4, activations), x)
        mode = mode_of(q, None)
        content = litert.convert(q, mode)
        if activations == 8:
            assert examine(q, content, [x], "", mode).outputs[0].max_steps <= 1.01
        else:
            assert np.abs(litert.run_file(content, {"x0": x})["y0"] - q.predict(x, verbose=0)).max() > 0.5
            with pytest.raises(
                RuntimeError, match="DEPTHWISE_CONV_2D .* int4, which LiteRT computes wrongly with int16"
            ):
                examine(q, content, [x], "", mode)


@pytest.mark.parametrize(
    ("contents", "mode", "match"),
    [
        (
            file_of("int8"),
            asked(4),
            r"'w4a8' asks for, so it was not written: the kernel of FULLY_CONNECTED .* is int8",
        ),
        (file_of("int4"), asked(8), "is int4"),
        (file_of("float32"), asked(8), "is float32"),
        (file_of("int8", "int8"), asked(8, 16), "the output of QUANTIZE at 'x/q' is int8; the output of FULLY"),
        (file_of("int8", "float32"), asked(8), "the output of FULLY_CONNECTED at 'y' is float32"),
        (file_of("float32", "float32"), floating("float16"), "is float32"),
        (file_of("float16", "float32"), floating("float32"), "is float16"),
        (file_of("float32", "float32", (32, 32)), floating("dynamic"), r"with shape \(32, 32\) is float32"),
        (file_of("float32", "float32", (31, 33)), floating("dynamic"), "no kernel has the 1024 values"),
    ],
)
def test_another_type_is_refused(contents, mode, match):
    with pytest.raises(RuntimeError, match=match):
        refuse_wrong_types(contents, mode)


def test_the_bytes_are_held_to_the_mode():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    q = calibrate(quantize(keras.Sequential([keras.Input((4,)), L.Dense(3)])), x)
    mode = mode_of(q, None)
    content = litert.convert(q, mode)
    assert examine(q, content, [x], "", mode).activation_types == {"int8": 2}
    with pytest.raises(RuntimeError, match="so it was not written: the kernel of FULLY_CONNECTED"):
        examine(q, content, [x], "", dataclasses.replace(mode, name="w4a8", kernels=frozenset(["int4"])))


def test_layers_named_with_numbers_are_found_again():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    layers = [keras.Input((4,)), L.Dense(4, name="dense_1"), L.LayerNormalization(name="norm_1_2"), L.Dense(3)]
    q = calibrate(quantize(keras.Sequential(layers)), x)
    mode = mode_of(q, None)
    file = examine(q, litert.convert(q, mode), [x], "", mode)
    assert {op.reason.split(":")[0] for op in file.float_ops} == {"layer 'norm_1_2'"}
