import keras
import numpy as np
import pytest
from keras import ops
from oracles.feed_forward import gated_feed_forward_loop

from keras_arch.layers import GatedFeedForward

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("activation", ["silu", "gelu", "relu", "sigmoid", None])
def test_equals_the_loop_without_biases(activation, rng):
    x = rng.standard_normal((2, 3, 4)).astype("float32")
    layer = GatedFeedForward(5, activation=activation)
    got = values(layer(x))
    kernels = [values(dense.kernel) for dense in (layer.gate_dense, layer.value_dense, layer.output_dense)]
    np.testing.assert_allclose(got, gated_feed_forward_loop(x, *kernels, activation or "linear"), atol=2e-6)


@pytest.mark.parametrize("shape", [(2, 4), (2, 2, 3, 4)])
def test_equals_the_loop_with_biases_and_another_output(shape, rng):
    x = rng.standard_normal(shape).astype("float32")
    layer = GatedFeedForward(5, use_bias=True, output_dim=6, bias_initializer=keras.initializers.RandomNormal(1.0))
    got = values(layer(x))
    parts = (layer.gate_dense, layer.value_dense, layer.output_dense)
    kernels, biases = [values(part.kernel) for part in parts], [values(part.bias) for part in parts]
    assert got.shape == (*shape[:-1], 6) == layer.compute_output_shape(shape)
    np.testing.assert_allclose(got, gated_feed_forward_loop(x, *kernels, "silu", biases), atol=5e-6)


def test_gate_and_value_start_from_other_kernels():
    layer = GatedFeedForward(5, kernel_initializer=keras.initializers.GlorotUniform())
    layer.build((None, 4))
    assert (values(layer.gate_dense.kernel) != values(layer.value_dense.kernel)).any()


def test_dropout_acts_on_the_product_in_training_only():
    layer = GatedFeedForward(64, dropout=0.5, activation=None, kernel_initializer="ones", seed=1)
    x = np.ones((1, 1), "float32")
    np.testing.assert_array_equal(values(layer(x)), [[64.0]])
    got = values(layer(x, training=True))
    assert got[0, 0] != 64
    assert got[0, 0] % 2 == 0  # each of the 64 entries is 0 or 2


def test_regularizers_reach_every_projection():
    layer = GatedFeedForward(2, use_bias=True, kernel_regularizer="l2", bias_regularizer="l1")
    layer.build((None, 3))
    assert len(layer.losses) == 6


def test_lora_and_quantization_reach_the_projections(rng):
    x = rng.standard_normal((8, 6)).astype("float32")
    model = keras.Sequential([keras.Input((6,)), GatedFeedForward(12)])
    before = values(model(x))
    model.layers[0].gate_dense.enable_lora(2)
    np.testing.assert_allclose(values(model(x)), before, atol=1e-6)
    assert len(model.trainable_weights) == 4
    quantized = keras.Sequential([keras.Input((6,)), GatedFeedForward(12)])
    before = values(quantized(x))
    quantized.quantize("int8", filters=lambda layer: isinstance(layer, keras.layers.Dense))
    after = values(quantized(x))
    assert 0 < np.abs(after - before).max() < 0.05 * np.abs(before).max()
    assert keras.backend.standardize_dtype(quantized.layers[0].value_dense.kernel.dtype) == "int8"


def test_mask_passes_through(rng):
    embedding, layer = keras.layers.Embedding(3, 4, mask_zero=True), GatedFeedForward(5)
    embedded = embedding(np.array([[1, 2, 0, 0]]))
    expected = values(layer(ops.copy(embedded)))[:, :2].mean(axis=1)
    np.testing.assert_allclose(values(keras.layers.GlobalAveragePooling1D()(layer(embedded))), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"intermediate_dim": 0}, "intermediate_dim must be an integer >= 1; received intermediate_dim=0"),
        ({"intermediate_dim": 4.0}, "intermediate_dim must be an integer"),
        ({"intermediate_dim": 4, "dropout": 1.0}, r"dropout must be a number in \[0, 1\)"),
        ({"intermediate_dim": 4, "output_dim": 0}, "output_dim must be an integer >= 1"),
        ({"intermediate_dim": 4, "activation": "swish9"}, "swish9"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        GatedFeedForward(**arguments)


def test_an_input_without_features_is_refused():
    with pytest.raises(ValueError, match=r"must have a batch axis and features of known size; received inputs=\(3,\)"):
        GatedFeedForward(4)(np.zeros(3, "float32"))
