"""Learning rates of constraints: numbers, and optimizers that are read at each step."""

import keras
import numpy as np
import pytest

from keras_arch.constraints import ProximalL1
from keras_arch.constraints.learning_rate import check_learning_rate, learning_rate_number, threshold

pytestmark = pytest.mark.backend


def falling_rate():
    return keras.optimizers.schedules.PiecewiseConstantDecay([0, 1], [1.0, 0.5, 0.25])


def test_the_step_is_strength_times_rate():
    assert threshold(0.5, 0.1) == pytest.approx(0.05)
    optimizer = keras.optimizers.SGD(0.1)
    assert float(threshold(0.5, optimizer)) == pytest.approx(0.05)
    optimizer.learning_rate = 0.2
    assert float(threshold(0.5, optimizer)) == pytest.approx(0.1)
    assert learning_rate_number(optimizer) == pytest.approx(0.2)


@pytest.mark.parametrize("rate", [-0.1, float("inf"), float("nan"), "sgd", None])
def test_rates_that_are_none_raise(rate):
    with pytest.raises(ValueError, match="learning_rate must be a number in"):
        check_learning_rate(rate)


def test_a_schedule_alone_raises_with_what_to_do():
    with pytest.raises(ValueError, match="Give the schedule to the optimizer and the optimizer to the constraint"):
        ProximalL1(0.1, falling_rate())


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_constraint_follows_the_schedule_of_its_optimizer_inside_compiled_steps(jit_compile):
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("Keras compiles with XLA on TensorFlow and JAX only")
    optimizer = keras.optimizers.SGD(falling_rate())
    layer = keras.layers.Dense(1, use_bias=False, kernel_constraint=ProximalL1(1.0, optimizer))
    model = keras.Sequential([keras.Input((1,)), layer])
    layer.set_weights([np.full((1, 1), 10.0, "float32")])
    model.compile(optimizer, lambda y, p: 0 * p, jit_compile=jit_compile)
    seen = []
    for _ in range(4):
        model.train_on_batch(np.ones((1, 1), "float32"), np.ones((1, 1), "float32"))
        seen.append(float(layer.get_weights()[0][0, 0]))
    np.testing.assert_allclose(-np.diff([10.0, *seen]), [1.0, 0.5, 0.25, 0.25], rtol=1e-5)


def test_a_rate_that_is_set_between_steps_is_obeyed_without_a_new_trace():
    optimizer = keras.optimizers.SGD(1.0)
    layer = keras.layers.Dense(1, use_bias=False, kernel_constraint=ProximalL1(1.0, optimizer))
    model = keras.Sequential([keras.Input((1,)), layer])
    layer.set_weights([np.full((1, 1), 10.0, "float32")])
    model.compile(optimizer, lambda y, p: 0 * p, jit_compile=keras.backend.backend() == "jax")
    for rate, wanted in ((1.0, 9.0), (0.5, 8.5)):
        optimizer.learning_rate = rate
        model.train_on_batch(np.ones((1, 1), "float32"), np.ones((1, 1), "float32"))
        assert layer.get_weights()[0][0, 0] == pytest.approx(wanted)


def test_a_file_keeps_the_number_and_a_new_optimizer_can_be_given(tmp_path):
    constraint = ProximalL1(1.0, keras.optimizers.SGD(0.5))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_constraint=constraint)])
    rebuilt = keras.models.model_from_json(model.to_json()).layers[0].kernel_constraint
    assert rebuilt.learning_rate == 0.5
    rebuilt.learning_rate = keras.optimizers.SGD(0.25)
    got = rebuilt(keras.ops.convert_to_tensor([1.0]))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(got), [0.75])
