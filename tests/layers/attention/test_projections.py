import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import MultiHeadAttention
from keras_arch.layers.attention.projections import keras_parts

pytestmark = pytest.mark.backend


def test_grouped_projections_are_those_of_keras_grouped_attention(rng):
    x = rng.standard_normal((2, 5, 8)).astype("float32")
    peer = keras.layers.GroupQueryAttention(head_dim=4, num_query_heads=4, num_key_value_heads=2)
    peer(x, x)
    ours = MultiHeadAttention(4, 4, num_kv_heads=2)
    ours.build(x.shape, x.shape)
    assert [w.shape for w in ours.weights] == [w.shape for w in peer.weights]
    ours.set_weights([rng.standard_normal(w.shape) for w in ours.get_weights()])
    peer.set_weights(ours.get_weights())
    mask = rng.random((2, 5, 5)) < 0.7
    mask[:, :, 0] = True
    for call in ({}, {"attention_mask": mask}, {"use_causal_mask": True}):
        got, wanted = ours(x, x, **call), peer(x, x, **call)
        np.testing.assert_allclose(ops.convert_to_numpy(got), ops.convert_to_numpy(wanted), atol=2e-5)


@pytest.mark.parametrize("num_kv_heads", [1, 2])
def test_grouped_heads_equal_repeated_ones(num_kv_heads, rng):
    x = rng.standard_normal((2, 5, 8)).astype("float32")
    options = {"use_gate": True, "value_dim": 3}
    grouped = MultiHeadAttention(4, 4, num_kv_heads=num_kv_heads, **options)
    whole = MultiHeadAttention(4, 4, **options)
    for layer in (grouped, whole):
        layer.build(x.shape, x.shape)
    weights = {w.path.split("/", 1)[1]: rng.standard_normal(w.shape) for w in grouped.weights}
    grouped.set_weights([weights[w.path.split("/", 1)[1]] for w in grouped.weights])
    repeats = 4 // num_kv_heads
    for weight in whole.weights:
        name = weight.path.split("/", 1)[1]
        axis = -2 if name.startswith(("key/", "value/")) else None
        weight.assign(weights[name] if axis is None else np.repeat(weights[name], repeats, axis=axis))
    for call in ({}, {"return_attention_scores": True}):
        for a, b in zip(*(keras.tree.flatten(layer(x, x, **call)) for layer in (grouped, whole)), strict=True):
            np.testing.assert_allclose(ops.convert_to_numpy(a), ops.convert_to_numpy(b), atol=2e-5)


def test_private_names_of_keras_still_stand():
    layer = MultiHeadAttention(4, 2, num_kv_heads=2, use_gate=True, dropout=0.25)
    layer.build((1, 3, 8), (1, 3, 8))
    gate, dropout = keras_parts(layer)
    assert isinstance(gate, keras.layers.EinsumDense)
    assert dropout.rate == 0.25
    assert layer.key_dense.kernel.shape == (8, 2, 2)
    assert layer.output_dense.kernel.shape == (4, 2, 8)
