"""Measures of how good an explanation is."""

from keras_arch.explain.metrics.blur import Blur
from keras_arch.explain.metrics.complexity import Complexity, complexity
from keras_arch.explain.metrics.deletion import Deletion, deletion
from keras_arch.explain.metrics.disturbance import GaussianNoise, NoisyBaseline, SquareRemoval
from keras_arch.explain.metrics.infidelity import Infidelity, infidelity
from keras_arch.explain.metrics.insertion import Insertion, insertion
from keras_arch.explain.metrics.max_sensitivity import MaxSensitivity, max_sensitivity
from keras_arch.explain.metrics.measurement import Measurement
from keras_arch.explain.metrics.metric import Metric
from keras_arch.explain.metrics.pointing_game import PointingGame, pointing_game
from keras_arch.explain.metrics.randomization import Randomization, randomization
from keras_arch.explain.metrics.sparseness import Sparseness, sparseness

__all__ = [
    "Blur",
    "Complexity",
    "Deletion",
    "GaussianNoise",
    "Infidelity",
    "Insertion",
    "MaxSensitivity",
    "Measurement",
    "Metric",
    "NoisyBaseline",
    "PointingGame",
    "Randomization",
    "Sparseness",
    "SquareRemoval",
    "complexity",
    "deletion",
    "infidelity",
    "insertion",
    "max_sensitivity",
    "pointing_game",
    "randomization",
    "sparseness",
]
