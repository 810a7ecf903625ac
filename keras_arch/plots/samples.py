"""Which numbers of an attribution belong to one sample, and what kind of drawing they call for."""

from dataclasses import dataclass

import keras
import numpy as np

from keras_arch.core.check import refuse
from keras_arch.explain.attribution import Attribution
from keras_arch.plots.heat import flatten_channels


@dataclass(frozen=True)
class Sample:
    """One sample, ready to be drawn.

    Attributes:
        image: the input: (H, W) or (H, W, C) where it is a picture, otherwise one number per position.
        heat: (H, W) where the attribution is a map, otherwise (positions,).
        target: the class index as text, or "" where the target is something else.
        score: the score.
        title: target and score, in words.
    """

    image: np.ndarray
    heat: np.ndarray
    target: str
    score: float
    title: str

    @property
    def is_map(self) -> bool:
        """Whether the attribution has two axes of positions."""
        return self.heat.ndim == 2


def sample(attribution: Attribution, index: int) -> Sample:
    """Take one sample out of an attribution; of several inputs, the first picture, or else the first.

    Args:
        attribution: what a method returned.
        index: which sample.
    Raises:
        ValueError: if the attribution has three axes of positions.
        IndexError: if there is no such sample.

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> sample(ka.explain.IntegratedGradients().explain(model, [[1.0, 2.0, 0.0]]), 0).heat.round(4).tolist()
    [1.0, 2.0, 0.0]
    """
    one = attribution[index]
    inputs, values = keras.tree.flatten(one.inputs), keras.tree.flatten(one.values)
    if len(values) == len(inputs):
        chosen = next((k for k, leaf in enumerate(values) if leaf.ndim == 4), 0)
        image, heat = inputs[chosen][0], values[chosen][0]
    else:
        heat = values[0][0]
        image = next((leaf[0] for leaf in inputs if leaf.ndim == heat.ndim + 1), inputs[0][0])
    if heat.ndim > 3:
        advice = "Draw a slice of .values with plots.overlay(image, heat)."
        raise refuse("attribution", "must be of pictures, sequences or vectors", attribution, advice)
    heat = _by_position(heat)
    return Sample(
        image=image if heat.ndim == 2 else _by_position(image),
        heat=heat,
        target=target_of(one),
        score=float(one.scores[0]),
        title=title_of(one),
    )


def target_of(one: Attribution) -> str:
    """The class index of the first sample as text, or "" where the target is something else."""
    named = isinstance(one.target, np.ndarray) and one.target.shape == (1,) and one.target.dtype.kind in "iu"
    return str(one.target[0]) if named else ""


def title_of(one: Attribution) -> str:
    """Target and score of an attribution of one sample, in words.

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> title_of(ka.explain.IntegratedGradients().explain(model, [[1.0, 2.0, 0.0]], 1))
    'target 1, score 3'
    """
    target, score = target_of(one), f"score {float(one.scores[0]):.3g}"
    return f"target {target}, {score}" if target else score


def _by_position(values: np.ndarray) -> np.ndarray:
    """(H, W, C) → (H, W);  (T, C) → (T,);  (F,) stays."""
    return values.sum(-1) if values.ndim == 2 else flatten_channels(values)
