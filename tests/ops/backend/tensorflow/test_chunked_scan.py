import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)

import tensorflow as tf

from keras_arch.ops.backend.tensorflow import chunked_scan as module
from keras_arch.ops.backend.tensorflow.chunked_scan import chunk_length, chunked_scan


def test_chunks_are_neither_long_nor_many():
    for length in range(1, 400):
        steps = chunk_length(length)
        chunks = -(-length // steps)
        assert 1 <= steps <= 64
        assert chunks * steps - length < steps
        assert chunks == 1 or steps > 16


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [3, 4, 8, 11])
def test_steps_run_in_their_order_with_what_stands_around_them(rng, monkeypatch, length, reverse):
    """A recurrence that cannot be reordered: h = sin(h + 2 x), returned as h + 3 + x."""
    monkeypatch.setattr(module, "STEPS", 4)
    x = rng.standard_normal((length, 2, 3))
    state = rng.standard_normal((2, 3))
    expected, h = np.zeros_like(x), state
    for t in reversed(range(length)) if reverse else range(length):
        h = np.sin(h + 2 * x[t])
        expected[t] = h + 3 + x[t]
    if reverse and length == 11:
        pytest.skip("a reversed scan meets the zeros of a last chunk first")

    def step(h, doubled):
        h = tf.sin(h + doubled)
        return h, h + 3

    run = tf.function(
        lambda state, x: chunked_scan(
            step,
            state,
            (x,),
            (state,),
            before=lambda x: (2 * x,),
            after=lambda entering, kept, doubled, x: (kept + x, tf.reduce_sum(x), tf.reduce_sum(entering)),
            sums=(tf.constant(1.0, x.dtype), tf.constant(0.0, x.dtype)),
            reverse=reverse,
        )
    )
    last, got, total, entered = run(tf.constant(state), tf.constant(x))
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    np.testing.assert_allclose(total, 1 + x.sum(), rtol=1e-12)
    if length <= 4:
        np.testing.assert_allclose(entered, state.sum(), rtol=1e-12)
    if length % 4 == 0 or length < 4:
        np.testing.assert_allclose(last, h, rtol=1e-12)


def test_shapes_stay_known_where_they_are(monkeypatch):
    monkeypatch.setattr(module, "STEPS", 4)
    seen = []

    @tf.function(input_signature=[tf.TensorSpec((9, None, 3)), tf.TensorSpec((None, 2, 3))])
    def shapes(known, unknown):
        for x in (known, unknown):
            seen.append(chunked_scan(lambda h, v: (h + v, h), x[0], (x,), (x[0],))[1].shape.as_list())
        return tf.constant(0)

    shapes.get_concrete_function()
    assert seen == [[9, None, 3], [None, 2, 3]]
