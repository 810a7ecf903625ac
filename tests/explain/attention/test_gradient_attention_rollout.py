"""Gradient rollout against a closed form, and against an eager tape over attention written out by hand."""

import keras
import numpy as np
import pytest
from oracles import attention_rollout as oracle

import keras_arch as ka
from keras_arch.explain.attention.attention_maps import attention_maps
from keras_arch.explain.attention.gradient_attention_rollout import GradientAttentionRollout

L = keras.layers


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.backend
@pytest.mark.parametrize("make", [L.MultiHeadAttention, ka.layers.MultiHeadAttention])
def test_one_layer_equals_its_closed_form(rng, make):
    """F_k = mean_t output[t] · u_k, so ∂F_k/∂A[h, t, s] = V[s, h] · (W_h u_k) / T."""
    inputs = keras.Input((5, 8))
    layer = make(2, 4, bias_initializer="random_normal", name="look")
    head = L.Dense(3)
    model = keras.Model(inputs, head(L.GlobalAveragePooling1D()(layer(inputs, inputs))))
    x = rng.normal(size=(3, 5, 8)).astype("float32")
    target = np.array([2, 0, 1])
    value = np.einsum("nsd,dhv->nshv", x, numpy(layer.value_dense.kernel)) + numpy(layer.value_dense.bias)
    out, u = numpy(layer.output_dense.kernel), numpy(head.kernel)[:, target].T  # (H, V, D), (N, D)
    slope = np.einsum("nshv,hvd,nd->nhs", value, out, u) / 5
    gradients = np.broadcast_to(slope[:, :, None], (3, 2, 5, 5))
    weights = attention_maps(model, x).weights["look"]
    for query in (0, 4, "mean"):
        got = GradientAttentionRollout(query=query).explain(model, x, target)
        for n in range(3):
            want = oracle.gradient_rollout([weights[n]], [gradients[n]]) - np.eye(5)
            want = want.mean(0) if query == "mean" else want[query]
            np.testing.assert_allclose(got.values[n, :, 0], want, rtol=1e-4, atol=1e-7)
    assert got.values.min() >= 0
    assert (gradients < 0).any()


def by_hand(model, names, x, target):
    """Weights and their gradients (layers of (N, H, T, T)) of a stack of residual attention and layer normalization."""
    import tensorflow as tf

    def project(y, dense):
        return tf.einsum("ntd,dhv->nthv", y, dense.kernel) + dense.bias

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        y, watched = tf.constant(x), []
        for name in names:
            layer = model.get_layer(name)
            query, key, value = (project(y, part) for part in (layer.query_dense, layer.key_dense, layer.value_dense))
            scores = tf.einsum("nthv,nshv->nhts", query, key) / np.sqrt(layer.key_dim)
            watched.append(tf.nn.softmax(scores))
            tape.watch(watched[-1])
            mixed = tf.einsum("nhts,nshv->nthv", watched[-1], value)
            y = y + tf.einsum("nthv,hvd->ntd", mixed, layer.output_dense.kernel) + layer.output_dense.bias
            y = model.get_layer(f"{name}_norm")(y)
        score = tf.reduce_sum(tf.gather(model.get_layer("head")(y[:, 0]), target, axis=1, batch_dims=1))
    return [one.numpy() for one in watched], [one.numpy() for one in tape.gradient(score, watched)]


def residual_stack(names):
    inputs = hidden = keras.Input((5, 8))
    for number, name in enumerate(names):
        make = ka.layers.MultiHeadAttention if number % 2 else L.MultiHeadAttention
        hidden = hidden + make(2, 4, name=name, bias_initializer="random_normal")(hidden, hidden)
        hidden = L.LayerNormalization(name=f"{name}_norm")(hidden)
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="head")(hidden[:, 0]))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a tape of TensorFlow is the oracle")
@pytest.mark.parametrize("depth", [1, 3])
def test_a_stack_equals_an_eager_tape_over_attention_written_out_by_hand(rng, depth):
    names = [f"look{number}" for number in range(depth)]
    model, x = residual_stack(names), rng.normal(size=(3, 5, 8)).astype("float32")
    target = np.array([0, 2, 1])
    weights, gradients = by_hand(model, names, x, target)
    for layer, maps in zip(weights, attention_maps(model, x).weights.values(), strict=True):
        np.testing.assert_allclose(maps, layer, rtol=1e-4, atol=1e-6)
    got = GradientAttentionRollout(query=0).explain(model, x, target)
    for n in range(3):
        total = oracle.gradient_rollout([one[n] for one in weights], [one[n] for one in gradients]) - np.eye(5)
        np.testing.assert_allclose(got.values[n, :, 0], total[0], rtol=1e-3, atol=1e-4 * np.abs(total[0]).max())
    logits = GradientAttentionRollout(query=0).explain(model, x, target, output="logits")
    assert np.abs(logits.values - got.values).max() > 1e-3 * np.abs(got.values).max()


@pytest.mark.backend
def test_a_layer_that_does_not_lead_to_the_target_is_named(rng):
    inputs = keras.Input((4, 8))
    dead = L.MultiHeadAttention(2, 4, name="dead")(inputs, inputs)
    live = L.MultiHeadAttention(2, 4, name="live")(inputs, inputs)
    outputs = {name: L.Dense(2)(L.GlobalAveragePooling1D()(y)) for name, y in (("a", dead), ("b", live))}
    model, x = keras.Model(inputs, outputs), rng.normal(size=(2, 4, 8))
    got = GradientAttentionRollout(layers="live").explain(model, x, {"b": 1})
    both = GradientAttentionRollout().explain(model, x, {"b": 1})
    np.testing.assert_allclose(both.values, got.values, rtol=1e-5)
    if keras.backend.backend() == "jax":  # zeros stand for what does not depend on the target
        with pytest.warns(UserWarning, match="All gradients at the attention weights are zero"):
            GradientAttentionRollout(layers="dead").explain(model, x, {"b": 1})
        return
    with pytest.raises(ValueError, match="layers must lead to the target .* nothing flows back to dead"):
        GradientAttentionRollout(layers="dead").explain(model, x, {"b": 1})


@pytest.mark.backend
def test_a_flat_gradient_warns(rng):
    inputs = keras.Input((4, 8))
    head = L.Dense(2, kernel_initializer="zeros")
    model = keras.Model(inputs, head(L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 4)(inputs, inputs))))
    with pytest.warns(UserWarning, match="All gradients at the attention weights are zero"):
        GradientAttentionRollout().explain(model, rng.normal(size=(2, 4, 8)), 0)


@pytest.mark.backend
def test_attention_that_hides_where_weights_meet_values_is_refused(rng):
    inputs = keras.Input((4, 8))
    hidden = ka.layers.LinearAttention(2, 4, name="linear")(inputs, inputs)
    model = keras.Model(inputs, L.GlobalAveragePooling1D()(hidden))
    with pytest.raises(ValueError, match="'linear' shows its weights, but not where they meet the values"):
        GradientAttentionRollout().explain(model, rng.normal(size=(2, 4, 8)), 0)
