"""What the classes of tf-explain share: what they differentiate, how they warn, how they save."""

import functools
import warnings
from typing import Any, ClassVar

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.explain import target
from keras_arch.explain.method import as_inputs
from keras_arch.explain.probe import Probe
from keras_arch.explain.target import Selection
from keras_arch.interop.tf_explain import pictures


class Explainer:
    """Base of the classes in `keras_arch.interop.tf_explain.core`.

    >>> Explainer().save(np.zeros((2, 2), "uint8"), "pictures", "black.png")
    """

    departure: ClassVar[str | None] = None  # from the paper
    instead: ClassVar[str | None] = None  # class of keras_arch.explain

    def save(self, grid: np.ndarray, output_dir: Any, output_name: str) -> None:
        """Write what `explain` returned.

        Args:
            grid: uint8 array.
            output_dir: folder, made where it is missing.
            output_name: file name; its ending says the format.
        """
        pictures.write(np.asarray(grid), output_dir, output_name)

    def _warn(self) -> None:
        if self.departure is not None:
            _warn_once(type(self).__name__, self.departure, self.instead)


@functools.cache
def _warn_once(name: str, departure: str, instead: str) -> None:
    warnings.warn(
        f"{name} follows tf-explain, which departs from the paper: {departure} keras_arch.explain.{instead} follows it "
        "and returns numbers, which keras_arch.plots draws.",
        UserWarning,
        stacklevel=4,
    )


def images_of(validation_data: tuple, model: keras.Model) -> np.ndarray:
    """The images of (x, y) as a float32 array, batch first.

    >>> images_of((np.zeros((1, 2), "uint8"), None), keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])).dtype
    dtype('float32')
    """
    if not isinstance(validation_data, tuple | list) or len(validation_data) != 2:
        advice = "Pass (x, None) where there are no labels."
        raise check.refuse("validation_data", "must be the pair (x, y)", validation_data, advice)
    return np.asarray(as_inputs(model, validation_data[0]), "float32")


def scores_of_class(probe: Probe, images: np.ndarray, class_index: int) -> tuple[Selection, ...]:
    """What `outputs[:, class_index]` means: of more than two axes the sum over all that follow, as in tf-explain.

    Args:
        probe: the model.
        images: float32.
        class_index: position on the second axis of the outputs.
    Raises:
        ValueError: for a model of several outputs, or an index out of range.
    """
    outputs = probe.survey(images).outputs
    if not hasattr(outputs, "shape") or len(outputs.shape) < 2:
        advice = "Use a method of keras_arch.explain, whose targets may be dicts and functions."
        raise check.refuse("model", "must have one output with a class axis", probe.model, advice)
    classes = outputs.shape[1]
    if not isinstance(class_index, int | np.integer) or not -classes <= class_index < classes:
        advice = f"The output has {classes} on its second axis."
        raise check.refuse("class_index", "must be a class of the output", class_index, advice)
    weights = np.zeros(tuple(outputs.shape)[1:], "float32")
    weights[class_index] = 1
    return target.select(weights, outputs, len(images))


def gradients(probe: Probe, images: np.ndarray, selections: tuple[Selection, ...]) -> np.ndarray:
    """Gradient of the scores with respect to the images, float32."""
    return np.concatenate([keras.ops.convert_to_numpy(one.gradient) for one in probe.gradients(images, selections)])
