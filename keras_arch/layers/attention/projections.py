"""How the projections of grouped attention are built, and the only private names of Keras's attention layer."""

from typing import Any

import keras


def keras_parts(layer: keras.layers.MultiHeadAttention) -> tuple[Any, Any]:
    """(gate projection or None, dropout layer) of a built attention layer: only private names in Keras 3.15."""
    return getattr(layer, "_gate_dense", None), layer._dropout_layer


def build_grouped(
    layer: keras.layers.MultiHeadAttention, query_shape: tuple, value_shape: tuple, key_shape: tuple
) -> None:
    """Do what Keras's `build` does for sequences, with `num_kv_heads` heads for keys and values.

    Keras builds all projections with `num_heads`. The names set here are those that its class reads (Keras 3.15).
    """
    common = layer._get_common_kwargs_for_sublayer

    def project(name: str, shape: tuple, heads: int, size: int, **kwargs) -> Any:
        projection = keras.layers.EinsumDense(
            "abc,cde->abde",
            output_shape=(None, heads, size),
            bias_axes="de" if layer.use_bias else None,
            name=name,
            **kwargs,
            **common(),
        )
        projection.build(shape)
        return projection

    layer._query_dense = project("query", query_shape, layer.num_heads, layer.key_dim)
    layer._key_dense = project("key", key_shape, layer.num_kv_heads, layer.key_dim)
    if layer.use_gate:
        layer._gate_dense = project("gate", query_shape, layer.num_heads, layer.value_dim, activation="sigmoid")
    layer._value_dense = project("value", value_shape, layer.num_kv_heads, layer.value_dim)
    layer._build_attention(4)
    layer._output_dense = layer._make_output_dense(query_shape, common(), "attention_output")
    layer._output_dense.build((*query_shape[:-1], layer.num_heads, layer.value_dim))
