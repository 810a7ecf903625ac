"""Checks of state and chance, each seen to notice what it is for."""

import random

import keras
import numpy as np
import pytest
from oracles.scaling_layer import Scaling

pytestmark = pytest.mark.backend
register = keras.saving.register_keras_serializable("randomness")
RANDOMNESS = (
    "randomness_is_state",
    "stateless_call_agrees",
    "seeded_runs_agree",
    "seed_argument_reproduces",
    "noise_moves_on",
)


@register
class Noisy(Scaling):
    """Right: noise in training from a seed generator of its own."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(self.generator_seed())

    def generator_seed(self):
        return self.seed

    def call(self, inputs, training=False):
        outputs = super().call(inputs)
        return outputs + self.noise(outputs) if training else outputs

    def noise(self, outputs):
        return keras.random.normal(keras.ops.shape(outputs), dtype=outputs.dtype, seed=self.generator)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@register
class NumpyNoise(Noisy):
    def noise(self, outputs):
        noise = np.random.standard_normal(tuple(outputs.shape))  # noqa: NPY002
        return keras.ops.convert_to_tensor(noise, "float32")


@register
class PythonNoise(Noisy):
    def noise(self, outputs):
        return random.random()


@register
class IgnoresSeed(Noisy):
    def generator_seed(self):
        return None


@register
class StuckNoise(Noisy):
    def noise(self, outputs):
        before = self.generator.state + 0
        noise = super().noise(outputs)
        self.generator.state.assign(before)
        return noise


@register
class UnseededWeights(Scaling):
    def build(self, input_shape):
        def draw(shape, dtype=None):
            return keras.ops.convert_to_tensor(np.random.default_rng().standard_normal(shape), dtype)

        self.scale = self.add_weight(shape=(input_shape[-1],), initializer=draw)


@register
class AssignsBehindKeras(Scaling):
    def build(self, input_shape):
        super().build(input_shape)
        self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs, training=False):
        if training:
            self.steps._value.assign_add(1.0)
        return super().call(inputs)


@pytest.mark.parametrize("layer", [Scaling, Noisy])
def test_a_right_layer_passes(failures, only, layer):
    assert failures(layer, skip=only(*RANDOMNESS)) == {}


@pytest.mark.parametrize("layer", [NumpyNoise, PythonNoise])
def test_noise_from_outside_keras(failures, only, layer):
    found = failures(layer, skip=only("randomness_is_state"))
    assert set(found) == {"randomness_is_state"}
    assert "two calls with equal variables, training=True" in found["randomness_is_state"]


def test_a_seed_that_does_not_arrive(failures, only):
    found = failures(IgnoresSeed, skip=only(*RANDOMNESS))
    assert set(found) == {"seed_argument_reproduces"}
    assert "two layers with seed=11" in found["seed_argument_reproduces"]


def test_noise_that_repeats_itself(failures, only):
    found = failures(StuckNoise, skip=only(*RANDOMNESS))
    assert set(found) == {"noise_moves_on"}


def test_weights_that_no_seed_reaches(failures, only):
    found = failures(UnseededWeights, skip=only(*RANDOMNESS))
    assert set(found) == {"seeded_runs_agree"}
    assert "weights of two layers made from the same random seed" in found["seeded_runs_agree"]


def test_state_assigned_behind_the_back_of_keras(failures, only):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.Variable is what can be assigned to directly")
    found = failures(AssignsBehindKeras, skip=only(*RANDOMNESS))
    assert set(found) == {"stateless_call_agrees"}
    assert "variables after stateless_call against before" in found["stateless_call_agrees"]
