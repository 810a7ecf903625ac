"""Which axes of a transformer's weights are split over devices."""

import re
from collections.abc import Sequence

import keras


def transformer_layout_map(
    device_mesh: keras.distribution.DeviceMesh,
    model_axis: str = "model",
    split_key_value: bool = True,
    vocabularies: Sequence[str] = (),
) -> keras.distribution.LayoutMap:
    """Rules that split the weights of transformer blocks for `keras.distribution.ModelParallel`.

    query, key, value, gate of attention:   kernel (D, N, H) and bias (N, H) along the heads N.
    output of attention:                    kernel (N, H, D) along the heads.
    first layers of a feed-forward network: kernel (D, F) and bias (F,) along F.
    last layer of it:                       kernel (F, D) along F.
    D: features, N: heads, H: features per head, F: features inside the feed-forward network.

    So each device holds whole heads and a slice of the network, and each branch needs one sum over the devices. The
    rest (normalizations, last biases, position tables) stands whole on every device. Keras splits weights with the JAX
    backend.

    The rules know a weight by its path: they fit `keras_arch.layers.TransformerEncoderBlock` and
    `TransformerDecoderBlock`, and all layers named "...attention..." or "...feed_forward..." that are
    `keras.layers.MultiHeadAttention`, `keras_arch.layers.MultiHeadAttention` or `GatedFeedForward`. The result is a
    `LayoutMap` like any other: add rules for what else the model has.

    Args:
        device_mesh: devices and the names of their axes.
        model_axis: axis of the mesh over which weights are split. Its length must divide N and F.
        split_key_value: False leaves the key and value projections whole, where the axis does not divide
            `num_kv_heads`.
        vocabularies: names of `keras.layers.Embedding` layers whose tables (V, D) are split along the vocabulary V,
            which the axis must divide.
    Returns:
        `keras.distribution.LayoutMap`.
    Raises:
        ValueError: if the mesh has no such axis.
    Source: Shoeybi et al. 2019, arXiv:1909.08053, section 3.

    >>> mesh = keras.distribution.DeviceMesh((1, 2), ("batch", "model"), devices=["cpu:0", "cpu:1"])
    >>> layout = ka.distribution.transformer_layout_map(mesh)
    >>> layout["transformer_encoder_block/attention/query/kernel"].axes
    (None, 'model', None)
    >>> layout["transformer_encoder_block/attention_norm/gamma"] is None
    True
    """
    if model_axis not in device_mesh.axis_names:
        raise ValueError(
            f"model_axis must be an axis of the mesh, one of {tuple(device_mesh.axis_names)}; received "
            f"model_axis={model_axis!r}. Name the axis over which weights are split."
        )
    heads = "query|gate" + ("|key|value" if split_key_value else "")
    # Keras 3.15 matches the whole path; the ends make the rules mean the same where a search is done.
    attention, gated = r"[^/]*attention[^/]*", r"[^/]*feed_forward[^/]*"
    rules = {
        rf"{attention}/({heads})/kernel": (None, model_axis, None),
        rf"{attention}/({heads})/bias": (model_axis, None),
        rf"{attention}/attention_output/kernel": (model_axis, None, None),
        rf"(intermediate_dense|{gated}/(gate|value))/kernel": (None, model_axis),
        rf"(intermediate_dense|{gated}/(gate|value))/bias": (model_axis,),
        rf"(output_dense|{gated}/output)/kernel": (model_axis, None),
        **{rf"{re.escape(name)}/embeddings": (model_axis, None) for name in vocabularies},
    }
    layout_map = keras.distribution.LayoutMap(device_mesh)
    for path, axes in rules.items():
        layout_map[rf"^(.*/)?{path}$"] = axes
    return layout_map
