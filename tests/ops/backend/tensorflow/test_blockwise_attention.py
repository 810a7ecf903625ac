import itertools

import keras
import numpy as np
import pytest
from oracles.sequence_attention import LENGTHS, ORDERS, LinearBias, case, expected

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)

import tensorflow as tf

from keras_arch.ops.backend.tensorflow import blockwise_attention as module
from keras_arch.ops.backend.tensorflow import streamed_attention
from keras_arch.ops.backend.tensorflow.blockwise_attention import blockwise_attention, rows_of_tile, tiling
from keras_arch.ops.sequence_attention import sequence_attention


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    """Several tiles in each direction, and ragged ends, at lengths of about ten."""
    monkeypatch.setattr(module, "FEWEST_ROWS", 4)
    monkeypatch.setattr(module, "MOST_ROWS", 4)
    monkeypatch.setattr(streamed_attention, "ROWS", 4)
    monkeypatch.setattr(streamed_attention, "COLUMNS", 3)


def output_and_gradients(attend, inputs, direction):
    """[output, and the gradient of its product with `direction` for each input]"""
    inputs = [tf.convert_to_tensor(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = attend(*inputs)
        loss = tf.reduce_sum(output * direction)
    return [output, *tape.gradient(loss, inputs)]


def kernel(masks, keywords, order, has_bias, has_sinks, may_keep=0):
    keywords = {k: v for k, v in keywords.items() if k not in ("sinks", "position_bias")} | (
        {"bias_between": LinearBias().between} if "position_bias" in keywords else {}
    )

    def attend(query, key, value, *rest):
        rest = list(rest)
        bias = rest.pop(0) if has_bias else None
        sinks = rest.pop(0) if has_sinks else None
        keywords["may_keep"] = may_keep
        return blockwise_attention(query, key, value, masks, bias, sinks=sinks, **keywords, **order)

    return attend


def dense(masks, keywords, order, has_bias, has_sinks):
    keywords = {k: v for k, v in keywords.items() if k != "sinks"}

    def attend(query, key, value, *rest):
        rest = list(rest)
        bias = rest.pop(0) if has_bias else None
        sinks = rest.pop(0) if has_sinks else None
        return sequence_attention(
            query, key, value, masks, bias, sinks=sinks, scale=1.0, implementation="dense", **keywords, **order
        )[0]

    return attend


def prepared(options, lengths, key_heads):
    arguments, keywords = case(options, lengths, key_heads)
    *tensors, masks, bias = arguments
    masks = tuple(tf.constant(mask) for mask in masks)
    has = {"has_bias": bias is not None, "has_sinks": "sinks" in keywords}
    inputs = [*tensors, *([bias] if has["has_bias"] else []), *([keywords["sinks"]] if has["has_sinks"] else [])]
    return inputs, masks, keywords, has


def signature(inputs):
    """Unknown batch and lengths for query, key and value."""
    return [tf.TensorSpec((None, None, *x.shape[2:]) if i < 3 else x.shape) for i, x in enumerate(inputs)]


EACH = list(
    itertools.product(
        ["plain", "bias", "mask", "soft_cap", "sinks", "between", "all"],
        ["full", "causal", "causal window"],
        [False, True],
    )
)


@pytest.mark.parametrize(("options", "order", "keep"), EACH)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_unrolled_gradients_equal_those_of_dense_attention(options, order, keep, lengths):
    inputs, masks, keywords, has = prepared(options, LENGTHS[lengths], key_heads=2)
    direction = np.random.default_rng(1).standard_normal((2, LENGTHS[lengths][0], 4, 5)).astype("float32")
    got = output_and_gradients(kernel(masks, keywords, ORDERS[order], **has, may_keep=10**6 * keep), inputs, direction)
    wanted = output_and_gradients(dense(masks, keywords, ORDERS[order], **has), inputs, direction)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=3e-6)


@pytest.mark.parametrize(
    ("options", "order", "lengths"),
    [
        ("all", "causal window", "more queries than keys"),
        ("all", "full", "newest queries"),
        ("bias", "window", "square"),
        ("sinks", "causal", "square"),
        ("padding", "causal", "newest queries"),
    ],
)
def test_streamed_gradients_equal_those_of_dense_attention(options, order, lengths):
    inputs, masks, keywords, has = prepared(options, LENGTHS[lengths], key_heads=2)
    direction = np.random.default_rng(1).standard_normal((2, LENGTHS[lengths][0], 4, 5)).astype("float32")
    attend = kernel(masks, keywords, ORDERS[order], **has)
    streamed = tf.function(lambda *x: output_and_gradients(attend, x, direction), input_signature=signature(inputs))
    wanted = output_and_gradients(dense(masks, keywords, ORDERS[order], **has), inputs, direction)
    for a, b in zip(streamed(*inputs), wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=3e-6)


@pytest.mark.parametrize("known", [True, False])
def test_xla_compiles_both_forms(known):
    inputs, masks, keywords, has = prepared("all", (9, 9), key_heads=4)
    direction = np.random.default_rng(1).standard_normal((2, 9, 4, 5)).astype("float32")
    attend = kernel(masks, keywords, {"causal": True}, **has)
    options = {} if known else {"input_signature": signature(inputs)}
    compiled = tf.function(lambda *x: output_and_gradients(attend, x, direction), jit_compile=True, **options)
    wanted = output_and_gradients(dense(masks, keywords, {"causal": True}, **has), inputs, direction)
    for a, b in zip(compiled(*inputs), wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=3e-6)


def test_gradient_agrees_with_finite_differences():
    inputs, masks, keywords, has = prepared("all", (9, 9), key_heads=4)
    attend = kernel(masks, keywords, {"window": 4}, **has)
    rng = np.random.default_rng(2)
    direction = rng.standard_normal((2, 9, 4, 5)).astype("float32")
    _, *gradients = output_and_gradients(attend, inputs, direction)
    steps = [rng.standard_normal(x.shape).astype("float32") for x in inputs]
    slope = sum(float(tf.reduce_sum(g * s)) for g, s in zip(gradients, steps, strict=True))

    def loss(step):  # float64, by the loop
        moved = [x + step * s for x, s in zip(inputs, steps, strict=True)]
        bias, sinks = moved[3], moved[4]
        arguments = (*moved[:3], masks, bias)
        return (expected(arguments, keywords | {"sinks": sinks}, window=4)[0] * direction).sum()

    np.testing.assert_allclose(slope, (loss(1e-4) - loss(-1e-4)) / 2e-4, rtol=2e-3)


@pytest.mark.parametrize(("batch", "may_keep", "softmaxes"), [(1, 160, 6), (1, 159, 12), (2, 320, 6), (None, 320, 12)])
def test_weights_that_all_fit_are_not_computed_again(batch, may_keep, softmaxes):
    """Two heads of 12 steps in tiles of 4 that see 4, 8 and 8 keys."""
    x = tf.TensorSpec((batch, 12, 2, 4))
    attend = kernel((), {}, {"window": 5, "causal": True}, False, False, may_keep=may_keep)
    step = tf.function(lambda x: output_and_gradients(attend, [x, x, x], x), input_signature=[x])
    operations = [operation.type for operation in step.get_concrete_function().graph.get_operations()]
    assert operations.count("Softmax") == softmaxes


def test_a_tile_adds_few_nodes_to_the_graph():
    """A node costs some 20 kB of memory: a tile of 195 of them once held more in its graph than in its scores."""

    def nodes(length):
        x = tf.ones((1, length, 2, 4))
        attend = kernel((), {}, {"causal": True}, False, False)
        step = tf.function(lambda: output_and_gradients(attend, [x, x, x], x))
        return len(step.get_concrete_function().graph.get_operations())

    tiles = 40 * 2  # forty more tiles of two rows for each head
    assert (nodes(120) - nodes(40)) / tiles < 110


@pytest.mark.parametrize("known", [True, False])
def test_the_gradient_drops_what_the_output_dropped(known):
    """The output is linear in the values, so its gradient for them must give it back: <d, o(v)> = <do/dv, v>."""
    inputs, masks, _, _ = prepared("plain", (9, 9), key_heads=4)
    direction = np.random.default_rng(1).standard_normal((2, 9, 4, 5)).astype("float32")

    def attend(query, key, value):
        return blockwise_attention(query, key, value, masks, dropout=0.5, seed=tf.constant([3, 4], "int64"))

    run = tf.function(
        lambda *x: output_and_gradients(attend, x, direction), input_signature=None if known else signature(inputs)
    )
    output, d_query, _, d_value = run(*inputs)
    np.testing.assert_allclose(tf.reduce_sum(output * direction), tf.reduce_sum(d_value * inputs[2]), rtol=1e-4)
    step = np.random.default_rng(5).standard_normal(inputs[0].shape).astype("float32")
    ends = [tf.reduce_sum(run(inputs[0] + sign * 1e-2 * step, *inputs[1:])[0] * direction) for sign in (1, -1)]
    np.testing.assert_allclose(tf.reduce_sum(d_query * step), (ends[0] - ends[1]) / 2e-2, rtol=2e-2)


def test_graph_holds_no_whole_scores():
    """With 4 queries a tile, no tensor of forward or backward has as many entries as all scores."""
    x = tf.TensorSpec((1, 64, 2, 4))

    @tf.function(input_signature=[x, x, x])
    def step(query, key, value):
        with tf.GradientTape() as tape:
            tape.watch([query, key, value])
            output = blockwise_attention(query, key, value, causal=True)
        return tape.gradient(output, [query, key, value])

    def graphs(graph):
        yield graph
        for operation in graph.get_operations():
            for attribute in ("f", "body", "cond"):
                if attribute in operation.node_def.attr:
                    name = operation.node_def.attr[attribute].func.name
                    if name:
                        yield from graphs(graph._get_function(name).graph)

    sizes = [
        tensor.shape.num_elements() or 0
        for graph in graphs(step.get_concrete_function().graph)
        for operation in graph.get_operations()
        for tensor in operation.outputs
        if tensor.shape.rank is not None
    ]
    assert max(sizes) < 2 * 64 * 64


@pytest.mark.parametrize(
    ("batch", "heads", "memory", "rows"), [(1, 4, 4096, 512), (None, 1, 1, 512), (8, 8, 65536, 64)]
)
def test_rows_of_a_tile_stay_within_their_limits(monkeypatch, batch, heads, memory, rows):
    monkeypatch.undo()
    assert 64 <= rows_of_tile(batch, heads, memory) <= rows


@pytest.mark.parametrize(
    ("heads", "length", "keywords", "plan"),
    [
        ((4, 4), 4096, {}, (512, True)),
        ((4, 4), 4096, {"causal": True}, (256, True)),
        ((4, 4), 4096, {"causal": True, "window": 256}, (512, True)),
        ((4, 4), 8192, {"causal": True}, (512, True)),
        ((8, 4), 4096, {"by_head": False}, (128, False)),
        ((8, 1), 4096, {}, (128, False)),
        ((4, 4), 65536, {}, None),
    ],
)
def test_tiles_are_large_and_few(monkeypatch, heads, length, keywords, plan):
    monkeypatch.undo()
    assert tiling(1, heads, (length, length), **keywords) == plan
