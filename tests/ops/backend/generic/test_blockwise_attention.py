import keras
import numpy as np
import pytest
from keras import ops
from oracles.sequence_attention import LENGTHS, ORDERS, LinearBias, case, expected

from keras_arch.ops.backend.generic.blockwise_attention import blockwise_attention

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("order", ORDERS if keras.backend.backend() == "tensorflow" else ("full", "causal window"))
@pytest.mark.parametrize("lengths", LENGTHS)
def test_runs_of_queries_equal_the_loop(order, lengths):
    arguments, keywords = case("all", LENGTHS[lengths], key_heads=2)
    wanted, _ = expected(arguments, keywords, **ORDERS[order])
    keywords.pop("position_bias")
    got = blockwise_attention(*arguments, bias_between=LinearBias().between, rows=4, **keywords, **ORDERS[order])
    np.testing.assert_allclose(ops.convert_to_numpy(got), wanted, atol=2e-6)


def test_weights_learn_the_same_as_without_runs():
    """The gradient through what is computed again: one step of training in runs of 2 and of 8 queries."""
    arguments, _ = case("padding", (8, 8))

    def trained(rows):
        class Attend(keras.layers.Layer):
            def build(self, shape):
                self.scale = self.add_weight(shape=(3,), initializer="ones", name="scale")

            def call(self, query):
                key = ops.convert_to_tensor(arguments[1]) * self.scale
                return blockwise_attention(query * self.scale, key, arguments[2], arguments[3], causal=True, rows=rows)

        model = keras.Sequential([Attend()])
        model.compile(keras.optimizers.SGD(0.5), "mse")
        model.fit(arguments[0], np.zeros((2, 8, 4, 5)), epochs=1, batch_size=2, shuffle=False, verbose=0)
        return model.get_weights()[0]

    few, many = trained(8), trained(2)
    assert np.abs(few - 1).max() > 1e-3
    np.testing.assert_allclose(few, many, atol=1e-6)
