"""Which layers run in a forward pass, in which order, and what comes out."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from keras_arch.core import walk
from keras_arch.core.tap import tap


@dataclass(frozen=True)
class Visit:
    """One layer's output as the model produced it: where, of which shape, and whether it is what the model returns.

    A layer that hands on the tensor it was given, such as dropout at inference or a model around its last layer,
    leaves no visit of its own: the tensor belongs to the layer that made it.
    """

    path: str
    shape: tuple[int, ...]
    is_output: bool


@dataclass(frozen=True)
class Survey:
    """What one forward pass showed: the structure of the outputs, and the layers in the order they finished.

    Attributes:
        outputs: the model's own structure of `keras.KerasTensor`, batch axis first.
        visits: one per tensor that a layer made.
    """

    outputs: Any
    visits: tuple[Visit, ...]


def survey(model: keras.Model, inputs: Any) -> Survey:
    """Run `model` on `inputs` once and write down which layers ran, in which order, and what came out.

    Args:
        model: any Keras model; it is built by this call if it was not.
        inputs: a few samples in the model's own structure.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2)])
    >>> survey(model, np.ones((1, 4), "float32")).visits[0]
    Visit(path='hidden', shape=(1, 3), is_output=False)
    """
    made = {}
    kept = []  # keeps each tensor alive, so that no two share an id

    def note(path: str) -> Callable[[Any], Any]:
        def change(result: Any) -> Any:
            if hasattr(result, "shape") and id(result) not in made:
                made[id(result)] = (path, tuple(result.shape))
                kept.append(result)
            return result

        return change

    if not model.built:
        model(inputs, training=False)
    kept.extend(keras.tree.flatten(inputs))
    made.update({id(tensor): None for tensor in kept})
    with contextlib.ExitStack() as taps:
        for path, layer in walk.walk(model):
            taps.enter_context(tap(layer, note(path)))
        outputs = model(inputs, training=False)
    final = {id(tensor) for tensor in keras.tree.flatten(outputs)}
    visits = tuple(Visit(*where, is_output=key in final) for key, where in made.items() if where is not None)
    described = keras.tree.map_structure(
        lambda tensor: keras.KerasTensor(tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype)), outputs
    )
    return Survey(described, visits)
