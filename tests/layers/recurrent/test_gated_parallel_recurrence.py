import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import MinLSTM

pytestmark = pytest.mark.backend


def test_regularizers_constraints_and_initializers_reach_their_weights():
    layer = MinLSTM(
        2,
        kernel_initializer="ones",
        bias_initializer=keras.initializers.Constant(3.0),
        gate_bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L1(1.0),
        bias_regularizer=keras.regularizers.L1(10.0),
        kernel_constraint="non_neg",
        bias_constraint="max_norm",
    )
    layer(np.ones((1, 2, 3), "float32"))
    assert sorted(float(ops.convert_to_numpy(loss)) for loss in layer.losses) == [6, 6, 6, 20, 20, 60]
    constraints = {type(weight.constraint).__name__ for weight in layer.weights}
    assert constraints == {"NonNeg", "MaxNorm"}


def test_kernels_of_one_unseeded_initializer_differ():
    layer = MinLSTM(2)
    layer.build((1, 2, 3))
    kernels = [ops.convert_to_numpy(dense.kernel) for dense in (*layer.gates, layer.candidate)]
    assert not np.allclose(kernels[0], kernels[1])
    assert not np.allclose(kernels[1], kernels[2])


def test_products_are_dense_layers_that_low_rank_adapters_know():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Dense is Dense on every backend")
    layer = MinLSTM(4)
    layer.build((1, 2, 3))
    for dense in (*layer.gates, layer.candidate):
        dense.enable_lora(1)
    assert len(layer.trainable_weights) == 9
