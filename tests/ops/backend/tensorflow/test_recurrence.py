"""Gradients of the scans, first and second, against those of a plain loop; eager, compiled, by XLA, any length."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)

import tensorflow as tf

from keras_arch.ops.backend.tensorflow import chunked_scan
from keras_arch.ops.backend.tensorflow.recurrence import (
    complex_linear_recurrence,
    gated_recurrence,
    linear_recurrence,
)

LENGTH, BATCH, SIZE = 7, 2, 4


def loop(a, b, h):
    a, steps = tf.broadcast_to(a, b.shape), []
    for t in range(LENGTH):
        h = a[t] * h + b[t]
        steps.append(h)
    return tf.stack(steps, axis=0)


def gated_loop(logits, candidates, h):
    gates = tf.sigmoid(logits)
    return loop(1 - gates, gates * candidates, h)


def complex_loop(a, b, h):
    h = loop(*(tf.complex(*tf.split(x, 2, -1)) for x in (a, b, h)))
    return tf.concat([tf.math.real(h), tf.math.imag(h)], -1)


def derivatives(function, given, weights):
    """First gradients of a curved loss of all states, and the gradients of their squares."""
    with tf.GradientTape() as outer:
        outer.watch(given)
        with tf.GradientTape() as inner:
            inner.watch(given)
            loss = tf.reduce_sum(tf.math.real(tf.sin(function(*given)) * weights))
        first = inner.gradient(loss, given)
        total = sum(tf.reduce_sum(tf.math.real(part * tf.math.conj(part))) for part in first)
    return [*first, *outer.gradient(total, given)]


def draw(rng, shape, dtype):
    values = 0.7 * rng.standard_normal(shape)
    if dtype.startswith("complex"):
        values = values + 0.7j * rng.standard_normal(shape)
    return tf.constant(values.astype(dtype))


CASES = {
    "linear": (linear_recurrence, loop, "float64", (LENGTH, BATCH, SIZE)),
    "constant": (linear_recurrence, loop, "float64", (SIZE,)),
    "complex": (linear_recurrence, loop, "complex128", (SIZE,)),
    "planes": (complex_linear_recurrence, complex_loop, "float64", (SIZE,)),
    "varying_planes": (complex_linear_recurrence, complex_loop, "float64", (LENGTH, BATCH, SIZE)),
    "gated": (gated_recurrence, gated_loop, "float64", (LENGTH, BATCH, SIZE)),
}
MODES = {
    "eager": None,
    "compiled": {},
    "any_length": {"reduce": True},
    "any_length_by_xla": {"reduce": True, "jit_compile": True},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_both_gradients_are_those_of_the_loop(rng, monkeypatch, case, mode):
    if "xla" in mode and case in ("linear", "complex", "varying_planes"):
        pytest.skip("XLA compiles slowly: the constant and the gated case stand for these")
    monkeypatch.setattr(chunked_scan, "STEPS", 3)  # 7 steps are two chunks and one that is filled up
    monkeypatch.setattr(chunked_scan, "UNKNOWN_STEPS", 3)
    function, plain, dtype, shape = CASES[case]
    given = [draw(rng, s, dtype) for s in (shape, (LENGTH, BATCH, SIZE), (BATCH, SIZE))]
    weights = draw(rng, (LENGTH, BATCH, SIZE), dtype)
    expected = derivatives(plain, given, weights)
    run = lambda given, weights: derivatives(function, list(given), weights)  # noqa: E731
    if MODES[mode] is not None:
        options = dict(MODES[mode])
        if options.pop("reduce", False):
            spec = [tf.TensorSpec([None] * (v.shape.rank - 1) + [SIZE], v.dtype) for v in (*given, weights)]
            options["input_signature"] = [spec[:-1], spec[-1]]
        run = tf.function(run, **options)
    for got, wanted in zip(run(given, weights), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-10)


def test_a_thousand_steps_need_no_more_nodes_than_a_hundred():
    def nodes(length):
        @tf.function
        def train(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(gated_recurrence(x, x, x[0]))
            return tape.gradient(loss, x)

        graph = train.get_concrete_function(tf.TensorSpec((length, 2, 3))).graph.as_graph_def()
        return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)

    assert nodes(1024) < 1.2 * nodes(128)
