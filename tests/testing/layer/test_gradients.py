"""Checks of training, each seen to notice what it is for."""

import keras
import numpy as np
import pytest
from oracles.scaling_layer import Scaling

from keras_arch.testing.layer.gradients import slopes
from keras_arch.testing.layer.subject import Case, Subject

pytestmark = pytest.mark.backend
register = keras.saving.register_keras_serializable("gradients")
ops = keras.ops
TRAINING = ("training_step", "gradient", "jit_compile")


@register
class UnusedWeight(Scaling):
    def build(self, input_shape):
        super().build(input_shape)
        self.forgotten = self.add_weight(shape=(1,), name="forgotten")


@register
class BranchesOnValues(Scaling):
    def call(self, inputs):
        return super().call(inputs) if ops.sum(inputs) > 1e6 else inputs + self.scale


@register
class InfiniteSlope(Scaling):
    def call(self, inputs):
        return ops.sqrt(ops.abs(super().call(inputs) * 0.0))


@ops.custom_gradient
def square_with_wrong_gradient(x):
    def gradient(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream
        return 1.9 * x * upstream

    return x * x, gradient


@register
class WrongGradient(Scaling):
    def call(self, inputs):
        return square_with_wrong_gradient(super().call(inputs))


@register
class HiddenDependence(Scaling):
    def call(self, inputs):
        return super().call(inputs) * ops.stop_gradient(ops.sigmoid(inputs))


@register
class Rounds(Scaling):
    def call(self, inputs):
        return ops.cast(ops.round(super().call(inputs)), "int32")


@register
class DependsOnBeingCompiled(Scaling):
    """TensorFlow alone tells graphs from eager calls here."""

    def call(self, inputs):
        import tensorflow

        return super().call(inputs) * (1.0 if tensorflow.executing_eagerly() else 1.01)


def test_a_right_layer_passes(failures, only):
    assert failures(Scaling, skip=only(*TRAINING), slow=TRAINING) == {}


def test_gradients_of_one_step_are_exact():
    subject = Subject(Case(Scaling, {}, (2, 5, 3)), None)  # y = x * w, loss = <d, y>
    run = slopes(subject)
    inputs, scale = run.gradients
    (direction,) = run.model.direction
    (weight,) = subject.reference.get_weights()
    np.testing.assert_allclose(inputs, direction * weight, rtol=1e-5)
    np.testing.assert_allclose(scale, np.sum(direction * subject.inputs, axis=(0, 1)), rtol=1e-5)


def test_a_weight_without_gradient(failures, only):
    if keras.backend.backend() == "jax":
        pytest.skip("JAX gives zeros for a weight that takes no part")
    found = failures(UnusedWeight, skip=only(*TRAINING))
    assert set(found) == {"training_step"}
    assert "forgotten" in found["training_step"]


def test_a_branch_on_values(failures, only):
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch runs eagerly, where a branch on values is allowed")
    found = failures(BranchesOnValues, skip=only(*TRAINING))
    assert set(found) == {"training_step"}
    assert "branches on one" in found["training_step"]


def test_a_gradient_that_is_not_finite(failures, only):
    found = failures(InfiniteSlope, skip=only("training_step"))
    assert "the gradient is not finite for" in found["training_step"]


def test_a_wrong_custom_gradient(failures, only):
    if keras.backend.backend() == "torch":
        pytest.skip("custom_gradient hands its arguments on in another way in PyTorch")
    found = failures(WrongGradient, skip=only(*TRAINING))
    assert set(found) == {"gradient"}
    assert "custom gradient is wrong" in found["gradient"]


def test_a_dependence_hidden_from_the_gradient(failures, only):
    found = failures(HiddenDependence, skip=only(*TRAINING))
    assert set(found) == {"gradient"}
    assert "along a random direction of the inputs" in found["gradient"]


def test_integer_outputs_have_no_gradient(failures, only):
    assert failures(Rounds, skip=only(*TRAINING)) == {}


def test_a_layer_that_computes_something_else_when_compiled(failures, only):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("needs the TensorFlow backend")
    found = failures(DependsOnBeingCompiled, skip=only("jit_compile"), slow=["jit_compile"])
    assert set(found) == {"jit_compile"}
    assert "with jit_compile=True against eager" in found["jit_compile"]
