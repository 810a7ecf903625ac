import keras
import numpy as np
import pytest
from keras import ops
from oracles.sequence_attention import case, expected

from keras_arch.ops.banded_attention import banded_attention

pytestmark = pytest.mark.backend


SIZES = [(1, 1), (2, 1), (3, 2), (5, 2), (4, 16), (30, 4), (6, None)]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("window", "block"), SIZES if keras.backend.backend() == "tensorflow" else SIZES[2:4])
def test_any_block_size_gives_the_same(window, block, causal):
    arguments, _ = case("mask", (10, 7))
    got = banded_attention(*arguments[:3], window, *arguments[3:], causal=causal, block=block)
    wanted, _ = expected(arguments, {}, window=window, causal=causal)
    np.testing.assert_allclose(ops.convert_to_numpy(got), wanted, atol=2e-6)


def test_a_whole_window_is_full_attention():
    arguments, _ = case("padding", (6, 6))
    got = banded_attention(*arguments[:3], 6, *arguments[3:])
    wanted, _ = expected(arguments, {})
    np.testing.assert_allclose(ops.convert_to_numpy(got), wanted, atol=2e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="lengths are always known elsewhere")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_unknown_lengths(jit_compile):
    import tensorflow as tf

    spec = [tf.TensorSpec((None, None, 4, size)) for size in (3, 3, 5)]

    @tf.function(input_signature=spec, jit_compile=jit_compile)
    def attend(query, key, value):
        return banded_attention(query, key, value, 3, causal=True)

    for lengths in ((9, 9), (2, 7)):
        arguments, _ = case("plain", lengths)
        wanted, _ = expected(arguments, {}, window=3, causal=True)
        np.testing.assert_allclose(attend(*arguments[:3]).numpy(), wanted, atol=2e-6)
