"""Checks of state and chance: everything that changes, and every random number, comes from the variables."""

import random as python_random

import keras
import numpy as np

from keras_arch.testing.layer.check import Mismatch, NotApplicable, check
from keras_arch.testing.layer.compare import assert_close, equal, to_numpy, values_of
from keras_arch.testing.layer.construction import constructor_arguments
from keras_arch.testing.layer.subject import Subject, seed_states


def stateless(subject: Subject, layer: keras.Layer, *, training: bool) -> tuple[object, list[np.ndarray]]:
    """Outputs and updated state of `stateless_call` of a model of the layer."""
    model = subject.functional(layer, dynamic=False)
    arguments = keras.tree.map_structure(keras.ops.convert_to_tensor, subject.inputs)
    trainable = [keras.ops.convert_to_tensor(variable) for variable in model.trainable_variables]
    state = [keras.ops.convert_to_tensor(variable) for variable in model.non_trainable_variables]
    outputs, after = model.stateless_call(trainable, state, arguments, training=training)
    return to_numpy(outputs), [keras.ops.convert_to_numpy(keras.ops.copy(value)) for value in after]


@check("Random numbers come from NumPy, Python or a global generator: keep a keras.random.SeedGenerator in the layer.")
def randomness_is_state(subject: Subject) -> None:
    """With the same variables a call gives the same bits, in training too: all chance lies in seed generators.

    With the PyTorch backend Keras 3.15 itself draws dropout without a seed from PyTorch's global generator: there a
    case of a layer that drops needs a seed.
    """
    for training in (False, True):
        runs = []
        for seed in (1, 2):
            layer = subject.twin()
            np.random.seed(seed)  # noqa: NPY002 - the global state that a layer must not read
            python_random.seed(seed)
            runs.append(subject.compute(layer, training=training))
        assert_close(runs[1], runs[0], 0.0, f"two calls with equal variables, training={training}")


@check("`call` assigns to Python attributes, or updates variables in another way than by assign.")
def stateless_call_agrees(subject: Subject) -> None:
    """`stateless_call` gives the outputs and the updated state of a call, and changes nothing."""
    for training in (False, True):
        layer, other = subject.twin(), subject.twin()
        before = values_of(layer.variables)
        outputs, state = stateless(subject, layer, training=training)
        mode = f"training={training}"
        assert_close(values_of(layer.variables), before, 0.0, f"variables after stateless_call against before, {mode}")
        wanted = subject.compute(other, training=training)
        assert_close(outputs, wanted, 0.0, f"outputs of stateless_call against a call, {mode}")
        assert_close(
            state, values_of(other.non_trainable_variables), 0.0, f"state after stateless_call against a call, {mode}"
        )


@check(
    "A weight or its noise is drawn outside keras.initializers and keras.random, so set_random_seed does not reach it."
)
def seeded_runs_agree(subject: Subject) -> None:
    """keras.utils.set_random_seed makes equal weights and, in training, equal outputs."""
    runs = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        layer = subject.make()
        outputs = subject.compute(layer, training=True)
        runs.append((layer.get_weights(), outputs))
    assert_close(runs[1][0], runs[0][0], 0.0, "weights of two layers made from the same random seed")
    assert_close(runs[1][1], runs[0][1], 0.0, "training outputs of two layers made from the same random seed")


@check("The `seed` argument does not reach the seed generator that the noise is drawn with.")
def seed_argument_reproduces(subject: Subject) -> None:
    """Two layers with the same `seed` argument draw the same noise whatever the global seed."""
    if "seed" not in constructor_arguments(subject.case.layer_class):
        raise NotApplicable("the constructor has no argument `seed`")
    runs = []
    for global_seed in (1, 2):
        keras.utils.set_random_seed(global_seed)
        layer = subject.make(seed=11)
        subject.compute(layer)
        layer.set_weights(subject.reference.get_weights())
        runs.append(subject.compute(layer, training=True))
    assert_close(runs[1], runs[0], 0.0, "training outputs of two layers with seed=11")


@check("The seed generator is made anew in every call, or its state is not advanced.")
def noise_moves_on(subject: Subject) -> None:
    """Where a training call differs from inference by noise, the next training call draws other noise."""
    layer = subject.twin()
    if not seed_states(layer):
        raise NotApplicable("the layer keeps no seed generator")
    if not subject.is_noisy:
        raise NotApplicable("training draws no noise with these arguments")
    first, second = (subject.compute(layer, training=True) for _ in range(2))
    if equal(first, second):
        raise Mismatch("two training calls in a row draw the same noise.")


RANDOMNESS = (
    randomness_is_state,
    stateless_call_agrees,
    seeded_runs_agree,
    seed_argument_reproduces,
    noise_moves_on,
)
