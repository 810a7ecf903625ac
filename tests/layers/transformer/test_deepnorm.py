import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers.transformer.deepnorm import DeepNormAttention, ScaledInitializer

pytestmark = pytest.mark.backend


def test_scaled_initializer_multiplies_and_survives_its_config():
    plain = ops.convert_to_numpy(keras.initializers.HeNormal(seed=3)((4, 5)))
    scaled = ScaledInitializer(keras.initializers.HeNormal(seed=3), 0.3)
    for initializer in (scaled, scaled.clone(), keras.initializers.get(keras.initializers.serialize(scaled))):
        np.testing.assert_allclose(ops.convert_to_numpy(initializer((4, 5))), 0.3 * plain, rtol=1e-6)


@pytest.mark.parametrize("arguments", [{}, {"num_kv_heads": 1}])
def test_only_value_and_output_projection_are_scaled(arguments):
    attention = DeepNormAttention(2, 3, gain=0.3, kernel_initializer="ones", **arguments)
    attention.build((None, 4, 6), (None, 5, 6))
    got = {
        weight.path.split("/")[-2]: set(np.unique(ops.convert_to_numpy(weight)))
        for weight in attention.weights
        if "kernel" in weight.path
    }
    scaled = {np.float32(0.3)}
    assert got == {"query": {1.0}, "key": {1.0}, "value": scaled, "attention_output": scaled}
