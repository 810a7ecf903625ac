"""Blockwise attention of any length: tiles of queries and keys in loops, with a running maximum and sum of each row."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_arch.ops.attention import lowest
from keras_arch.ops.backend.tensorflow.loops import Loops
from keras_arch.ops.backend.tensorflow.tiles import Tiles

ROWS, COLUMNS = 256, 1024


def streamed(tiles: Tiles, wide: tf.DType = tf.float32, *, has_bias: bool, has_sinks: bool) -> Callable:
    """Build (query, key, value, bias, sinks) -> output for `blockwise_attention`, as `unrolled` does.

    All tiles have one size, so that XLA compiles the loops; lengths are filled up to it and cut again. Tiles that a
    causal mask or a window hides as a whole are left out. Scores and sums are kept in `wide`.
    """
    loops = Loops(tiles, ROWS, COLUMNS)

    def tile_scores(i: Any, j: Any, query: Any, key: Any, bias: Any) -> tuple[Any, Any]:
        start = (i * ROWS, j * COLUMNS)
        part = loops.tiles.cut(bias, start, ROWS, COLUMNS) if has_bias else None
        scores, capped, _ = loops.tiles.scores(tf.gather(query, i), tf.gather(key, j), part, start, wide)
        # Merging heads and groups loses what is known of the shape, which loops need.
        return tf.ensure_shape(scores, (query.shape[1], tiles.key_heads, tiles.groups, ROWS, COLUMNS)), capped

    def forward(query: Any, key: Any, value: Any, bias: Any, sinks: Any) -> tuple[Any, Any, Any]:
        shape = tf.shape(query)[1:5]  # B, M, G, C

        def rows(i: Any, outputs: tf.TensorArray, sums: tf.TensorArray) -> tuple:
            def columns(j: Any, top: Any, total: Any, output: Any) -> tuple:
                scores, _ = tile_scores(i, j, query, key, bias)
                new = tf.maximum(top, tf.reduce_max(scores, -1, keepdims=True))
                weights, old = tf.exp(scores - new), tf.exp(top - new)
                total = total * old + tf.reduce_sum(weights, -1, keepdims=True)
                if tiles.dropout:
                    weights *= tiles.drop(weights, (i * ROWS, j * COLUMNS))
                product = tf.matmul(tiles.flat(tf.cast(weights, query.dtype)), tf.gather(value, j))
                output = output * old + tf.cast(tiles.folded(product, ROWS), wide)
                return j + 1, *(
                    tf.ensure_shape(x, known.shape) for x, known in zip((new, total, output), state, strict=True)
                )

            if has_sinks:
                top = tf.broadcast_to(sinks, tf.concat([shape, [1]], 0))
            else:
                top = tf.fill(tf.concat([shape, [1]], 0), tf.constant(lowest("float32"), wide))
            total = tf.ones_like(top) if has_sinks else tf.zeros_like(top)
            output = tf.zeros(tf.concat([shape, [value.shape[4]]], 0), wide)
            state = top, total, output
            start, stop = loops.columns_of(i)
            _, top, total, output = tf.while_loop(
                lambda j, *_: j < stop, columns, (start, *state), parallel_iterations=1
            )
            sees = top > lowest("float32")
            output = tf.where(sees, output / tf.where(sees, total, tf.ones((), wide)), tf.zeros((), wide))
            sums_of_rows = tf.where(
                sees, top + tf.math.log(tf.where(sees, total, tf.ones((), wide))), tf.zeros((), wide)
            )
            return i + 1, outputs.write(i, tf.cast(output, query.dtype)), sums.write(i, sums_of_rows)

        sizes = ((query.dtype, value.shape[4]), (wide, 1))
        arrays = [_array(dtype, loops.row_tiles, (*query.shape[1:5], size)) for dtype, size in sizes]
        _, outputs, sums = tf.while_loop(lambda i, *_: i < loops.row_tiles, rows, (0, *arrays), parallel_iterations=1)
        return outputs.stack(), sums.stack()

    @tf.custom_gradient
    def attend(query: Any, key: Any, value: Any, bias: Any, sinks: Any) -> tuple[Any, Callable]:
        query_tiles, key_tiles, value_tiles = loops.split_queries(query), loops.split_keys(key), loops.split_keys(value)
        filled_bias = loops.fill(bias) if has_bias else bias
        outputs, sums = forward(query_tiles, key_tiles, value_tiles, filled_bias, sinks)

        def gradient(d_output: Any) -> tuple:
            d_outputs = loops.split_queries(d_output)
            delta = tf.reduce_sum(tf.cast(d_outputs, wide) * tf.cast(outputs, wide), -1, keepdims=True)

            def columns(j: Any, d_query: Any, d_keys: tf.TensorArray, d_values: tf.TensorArray, d_bias: Any) -> tuple:
                def rows(i: Any, d_query: Any, d_key: Any, d_value: Any, d_bias: Any) -> tuple:
                    scores, capped = tile_scores(i, j, query_tiles, key_tiles, filled_bias)
                    hidden = scores <= lowest("float32")
                    weights = tf.where(hidden, tf.zeros((), wide), tf.exp(scores - tf.gather(sums, i)))
                    d_weights = tf.matmul(
                        tiles.flat(tf.gather(d_outputs, i)), tf.gather(value_tiles, j), transpose_b=True
                    )
                    d_weights = tf.cast(tiles.folded(d_weights, ROWS), wide)
                    used = weights
                    if tiles.dropout:
                        factors = tiles.drop(weights, (i * ROWS, j * COLUMNS))
                        used, d_weights = weights * factors, d_weights * factors
                    d_scores = weights * (d_weights - tf.gather(delta, i))
                    if has_bias:
                        d_bias = loops.add_bias_gradient(d_bias, bias, d_scores, i, j)
                    if capped is not None:
                        d_scores *= 1 - tf.square(capped / tiles.soft_cap)
                    d_scores, used = (tiles.flat(tf.cast(x, query.dtype)) for x in (d_scores, used))
                    part = tiles.folded(tf.matmul(d_scores, tf.gather(key_tiles, j)), ROWS)
                    d_query = tf.tensor_scatter_nd_add(d_query, [[i]], tf.cast(part, wide)[None])
                    d_key += tf.cast(tf.matmul(d_scores, tiles.flat(tf.gather(query_tiles, i)), transpose_a=True), wide)
                    d_value += tf.cast(tf.matmul(used, tiles.flat(tf.gather(d_outputs, i)), transpose_a=True), wide)
                    return i + 1, d_query, d_key, d_value, d_bias

                start, stop = loops.rows_of(j)
                zeros = [tf.zeros(tf.shape(x)[1:], wide) for x in (key_tiles, value_tiles)]
                _, d_query, d_key, d_value, d_bias = tf.while_loop(
                    lambda i, *_: i < stop, rows, (start, d_query, *zeros, d_bias), parallel_iterations=1
                )
                return j + 1, d_query, d_keys.write(j, d_key), d_values.write(j, d_value), d_bias

            arrays = [_array(wide, loops.column_tiles, x.shape[1:]) for x in (key_tiles, value_tiles)]
            _, d_query, d_keys, d_values, d_bias = tf.while_loop(
                lambda j, *_: j < loops.column_tiles,
                columns,
                (
                    0,
                    tf.zeros(tf.shape(query_tiles), wide),
                    *arrays,
                    loops.no_bias_gradient(bias, wide) if has_bias else tf.zeros(()),
                ),
                parallel_iterations=1,
            )
            d_sinks = tf.zeros_like(sinks)
            if has_sinks:
                per_row = -tf.exp(sinks - loops.join_queries(sums, tiles.length)) * loops.join_queries(
                    delta, tiles.length
                )
                d_sinks = tf.reduce_sum(per_row, (0, 3), keepdims=True)
            return (
                tf.cast(loops.join_queries(d_query, tiles.length), query.dtype),
                tf.cast(loops.join_keys(d_keys.stack(), tiles.memory), key.dtype),
                tf.cast(loops.join_keys(d_values.stack(), tiles.memory), value.dtype),
                loops.join_bias(d_bias, bias) if has_bias else tf.zeros_like(bias),
                d_sinks,
            )

        return loops.join_queries(outputs, tiles.length), gradient

    return attend


def _array(dtype: Any, size: Any, shape: tuple) -> tf.TensorArray:
    return tf.TensorArray(dtype, size, element_shape=tf.TensorShape(shape))
