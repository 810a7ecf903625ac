"""Linear regression by plain SGD, on which each proximal step is exact."""

import keras
import numpy as np
import pytest


@pytest.fixture
def regression_by_sgd():
    """Fit y = x w on full batches and mean squared error, with arguments of Dense such as a constraint; returns w."""

    def train(x, y, rate, steps, **arguments):
        layer = keras.layers.Dense(y.shape[1], use_bias=False, **arguments)
        model = keras.Sequential([keras.Input((x.shape[1],)), layer])
        model.compile(keras.optimizers.SGD(rate), "mse", jit_compile=keras.backend.backend() == "jax")
        repeated = [
            np.tile(one.astype("float32"), (steps, 1)) for one in (x, y)
        ]  # one epoch: epochs cost more than steps
        model.fit(*repeated, batch_size=len(x), shuffle=False, verbose=0)
        return layer.get_weights()[0]

    return train
