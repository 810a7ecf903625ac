"""From a penalty that only shrinks filters to a proximal step that removes them, and a smaller network."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_arch import compression
from keras_arch.constraints import ProximalGroupLasso
from keras_arch.regularizers import GroupLasso

RATE = 3e-3


def digits_network(**kernel):
    """Two convolutions whose filters are in question.

    BatchNormalization sends out a constant for a zero filter: the convolution after it has no padded borders, so that
    the constant can go into its bias.
    """
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(12, 3, padding="same", use_bias=False, name="first", **kernel),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(48, 3, activation="relu", name="second", **kernel),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def fitted(digits, **kernel):
    (x, y), test = digits
    keras.utils.set_random_seed(0)
    model = digits_network(**kernel)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE), loss, metrics=["accuracy"], jit_compile=False)
    model.fit(x, y, batch_size=64, epochs=12, verbose=0)
    return model, model.evaluate(*test, verbose=0)[1]


def zero_filters(model):
    kernels = [model.get_layer(name).get_weights()[0] for name in ("first", "second")]
    return [int((kernel == 0).all(axis=(0, 1, 2)).sum()) for kernel in kernels]


@pytest.fixture(scope="module")
def penalized(digits):
    return fitted(digits, kernel_regularizer=GroupLasso(1e-3))


@pytest.fixture(scope="module")
def proximal(digits):
    return fitted(digits, kernel_constraint=ProximalGroupLasso(0.2, learning_rate=RATE))


def test_the_penalty_alone_leaves_no_filter_exactly_zero(penalized):
    model, accuracy = penalized
    assert zero_filters(model) == [0, 0]
    assert accuracy >= 0.95


def test_the_proximal_step_leaves_filters_exactly_zero_at_about_the_same_accuracy(penalized, proximal):
    model, accuracy = proximal
    first, second = zero_filters(model)
    assert first + second >= 3
    assert first < 12
    assert second < 48
    assert accuracy >= penalized[1] - 0.04


def test_the_zero_filters_can_be_taken_out_with_the_same_outputs(digits, proximal):
    model, _ = proximal
    x = digits[1][0][:100]
    before, weights = model.predict(x, verbose=0), model.count_params()
    small = compression.shrink(model)
    np.testing.assert_allclose(small.predict(x, verbose=0), before, atol=1e-4)
    assert small.count_params() < weights
    kept = [one.filters for one in small.layers if isinstance(one, layers.Conv2D)]
    assert kept == [all_filters - zero for all_filters, zero in zip((12, 48), zero_filters(model), strict=True)]
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)
