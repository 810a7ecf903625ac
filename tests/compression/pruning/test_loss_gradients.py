"""Gradients of the loss over samples: by hand in NumPy, for every kind of model, and no trace left in it."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_arch.compression.pruning.loss_gradients import loss_gradients

pytestmark = pytest.mark.backend


def by_hand(x, y, kernel, bias):
    """Gradients of mean((x w + b - y)^2) over all N * K numbers: 2 / (N K) x' r, and the column sums of r."""
    residual = x @ kernel + bias - y
    return 2 / residual.size * x.T @ residual, 2 / residual.size * residual.sum(0)


def samples(rng, rows=10):
    return rng.normal(size=(rows, 4)).astype("float32"), rng.normal(size=(rows, 3)).astype("float32")


def sequential(dtype=None):
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, bias_initializer="random_normal", dtype=dtype)])


def functional(dtype=None):
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(3, bias_initializer="random_normal", dtype=dtype)(inputs))


class Subclassed(keras.Model):
    def __init__(self, dtype=None):
        super().__init__()
        self.head = layers.Dense(3, bias_initializer="random_normal", dtype=dtype)

    def call(self, inputs):
        return self.head(inputs)


def subclassed(dtype=None):
    model = Subclassed(dtype)
    model(np.zeros((1, 4), "float32"))
    return model


def compiled(model, **settings):
    model.compile("sgd", **({"loss": "mse"} | settings))
    return model


def mean_of_squares(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def check_close(got, wanted, tolerance=1e-5):
    for found, true in zip(got, wanted, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, true, rtol=tolerance, atol=tolerance * np.abs(true).max())


@pytest.mark.parametrize("make", [sequential, functional, subclassed])
@pytest.mark.parametrize("loss", [None, "mse", "MeanSquaredError", keras.losses.MeanSquaredError(), mean_of_squares])
@pytest.mark.parametrize("batch_size", [3, 10, 32])
def test_gradients_of_linear_regression_are_those_by_hand(make, loss, batch_size, rng):
    model, (x, y) = compiled(make(), loss="mse" if loss is None else "mae"), samples(rng)
    weights = model.trainable_variables
    check_close(loss_gradients(model, x, y, weights, loss, batch_size), by_hand(x, y, *(w.numpy() for w in weights)))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
def test_low_precision_gives_float32_gradients(policy, rng):
    model, (x, y) = compiled(sequential(policy)), samples(rng)
    weights = model.trainable_variables
    exact = by_hand(x, y, *(ops.convert_to_numpy(ops.cast(w, "float32")) for w in weights))
    check_close(loss_gradients(model, x, y, weights), exact, tolerance=0.02)


@pytest.mark.parametrize("size", [1e-7, 1.0, 1e4])
def test_gradients_in_float16_neither_vanish_nor_overflow(size, rng):
    model, (x, y) = sequential("mixed_float16"), samples(rng)
    weights = model.trainable_variables
    got = loss_gradients(model, x, y, weights, lambda y_true, y_pred: size * mean_of_squares(y_true, y_pred))
    check_close(got, [size * part for part in by_hand(x, y, *(w.numpy() for w in weights))], tolerance=0.02)


def test_float64_arrays_and_tensors_are_samples_like_others(rng):
    model, (x, y) = compiled(sequential()), samples(rng)
    wanted = by_hand(x, y, *(w.numpy() for w in model.trainable_variables))
    check_close(loss_gradients(model, x.astype("float64"), y.astype("float64"), model.trainable_variables), wanted)
    check_close(loss_gradients(model, *map(ops.convert_to_tensor, (x, y)), model.trainable_variables), wanted)


def test_frozen_weights_have_gradients_and_unconnected_ones_zeros(rng):
    model, (x, y) = compiled(sequential()), samples(rng)
    kernel, bias = model.layers[0].kernel, model.layers[0].bias
    model.layers[0].trainable = False
    stranger = keras.Variable(np.ones((2, 2), "float32"))
    got = loss_gradients(model, x, y, [kernel, bias, stranger])
    check_close(got, [*by_hand(x, y, kernel.numpy(), bias.numpy()), np.zeros((2, 2))])


def test_penalties_and_added_losses_count_once_in_the_compiled_loss_and_not_in_a_given_one(rng):
    class Adds(layers.Layer):
        def call(self, inputs):
            self.add_loss(ops.mean(inputs))
            return inputs

    head = layers.Dense(3, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.1))
    model, (x, y) = compiled(keras.Sequential([keras.Input((4,)), head, Adds()])), samples(rng)
    kernel = head.kernel.numpy()
    plain = by_hand(x, y, kernel, 0.0)[0]
    added = np.repeat(x.mean(0)[:, None], 3, axis=1) / 3
    check_close(loss_gradients(model, x, y, [head.kernel], batch_size=4), [plain + 0.2 * kernel + added])
    check_close(loss_gradients(model, x, y, [head.kernel], "mse", batch_size=4), [plain])


def test_the_loss_of_a_model_of_its_own_is_used(rng):
    class Own(Subclassed):
        def compute_loss(self, x, y, y_pred, sample_weight):
            return 3 * ops.mean(ops.square(y - y_pred))

    model, (x, y) = Own(), samples(rng)
    model(x)
    weights = model.trainable_variables
    wanted = by_hand(x, y, *(w.numpy() for w in weights))
    check_close(loss_gradients(model, x, y, weights), [3 * part for part in wanted])


def two_heads():
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((2,), name="b")}
    outputs = {"one": layers.Dense(3, name="one")(inputs["a"]), "two": layers.Dense(1, name="two")(inputs["b"])}
    return keras.Model(inputs, outputs)


def test_several_inputs_and_outputs(rng):
    model = compiled(two_heads(), loss={"one": "mse", "two": "mse"}, loss_weights={"one": 1.0, "two": 0.5})
    x = {"a": rng.normal(size=(10, 4)).astype("float32"), "b": rng.normal(size=(10, 2)).astype("float32")}
    y = {"one": rng.normal(size=(10, 3)).astype("float32"), "two": rng.normal(size=(10, 1)).astype("float32")}
    one, two = (model.get_layer(name) for name in ("one", "two"))
    wanted = [
        by_hand(x["a"], y["one"], one.kernel.numpy(), one.bias.numpy())[0],
        by_hand(x["b"], y["two"], two.kernel.numpy(), two.bias.numpy())[0] / 2,
    ]
    kernels = [one.kernel, two.kernel]
    check_close(loss_gradients(model, x, y, kernels, batch_size=4), wanted)
    assert all(not np.any(np.array(v)) for metric in model.metrics for v in metric.variables)
    model.fit(x, y, verbose=0)  # its metrics still work
    wanted = [
        by_hand(x["a"], y["one"], one.kernel.numpy(), one.bias.numpy())[0],
        by_hand(x["b"], y["two"], two.kernel.numpy(), two.bias.numpy())[0],
    ]
    both = lambda t, p: mean_of_squares(t["one"], p["one"]) + mean_of_squares(t["two"], p["two"])  # noqa: E731
    check_close(loss_gradients(model, x, y, kernels, both, batch_size=4), wanted)
    with pytest.raises(ValueError, match=r"loss must be a function \(y_true, y_pred\) of all outputs"):
        loss_gradients(model, x, y, kernels, "mse")


class Counter(layers.Layer):
    """Counts its calls, at inference too."""

    def build(self, input_shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs):
        self.calls.assign_add(1.0)
        return inputs


def noisy():
    return keras.Sequential(
        [
            keras.Input((4,)),
            Counter(),
            layers.Dense(5),
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=1),
            layers.Dense(3),
        ]
    )


def test_the_model_is_left_as_it_was(rng):
    model, (x, y) = noisy(), samples(rng)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(x, y, verbose=0)
    logs = model.get_metrics_result()
    state = [*model.variables, *model.optimizer.variables, *(v for m in model.metrics for v in m.variables)]
    if keras.backend.backend() == "torch":
        model.zero_grad()
    before = [np.array(ops.convert_to_numpy(variable.value)) for variable in state]
    loss_gradients(model, x, y, [layer.kernel for layer in model.layers if hasattr(layer, "kernel")], batch_size=4)
    for variable, value in zip(state, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable.value), value)
    assert model.get_metrics_result() == logs
    if keras.backend.backend() == "torch":
        assert all(variable.value.grad is None for variable in model.variables)
    model.fit(x, y, verbose=0)


def test_samples_do_not_mix_and_there_is_no_noise(rng):
    model, (x, y) = compiled(noisy()), samples(rng)
    model.fit(x, y, verbose=0)
    whole = loss_gradients(model, x, y, model.trainable_variables)
    check_close(loss_gradients(model, x, y, model.trainable_variables, batch_size=3), whole)


def test_a_model_without_a_loss_is_refused(rng):
    model, (x, y) = sequential(), samples(rng)
    with pytest.raises(ValueError, match="loss must be given for a model that was compiled without one; .*loss='mse'"):
        loss_gradients(model, x, y, model.trainable_variables)
    model.compile("sgd")
    with pytest.raises(ValueError, match="loss must be given for a model that was compiled without one"):
        loss_gradients(model, x, y, model.trainable_variables)
