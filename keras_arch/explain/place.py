"""Where in a model a method looks: what a user may write for `layer`."""

from typing import TYPE_CHECKING, Any

import keras

from keras_arch.core import walk
from keras_arch.explain.scene import Tap

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


def locate(model: keras.Model, layer: keras.Layer | str) -> tuple[Tap, str]:
    """Turn a user's choice of a layer into what is tapped and its path.

    Args:
        model: a Keras model.
        layer: a layer, its name or its path; for one of the calls of a shared layer, a number after a colon, counted
            from 0 in the order in which the model makes them: "encoder:1".
    Raises:
        ValueError: if it is not one layer of the model; names the nearest paths.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="head")])
    >>> tap, path = locate(model, "head:0")
    >>> tap.call, path
    (0, 'head:0')
    """
    if isinstance(layer, str):
        name, colon, call = layer.rpartition(":")
        if colon and call.isdecimal():
            found, path = walk.locate(model, name)
            return Tap(found, int(call)), f"{path}:{call}"
    found, path = walk.locate(model, layer)
    return Tap(found), path


def embedding_of(probe: "Probe", inputs: Any) -> str | None:
    """Path of the embedding layer whose output stands for token ids, or None where all inputs are floats.

    Args:
        probe: the model.
        inputs: checked arrays in the model's structure.
    Raises:
        ValueError: for inputs that are not floats where the model has no `keras.layers.Embedding`, or several, or has
            other inputs that are floats.
    """
    leaves = keras.tree.flatten(inputs)
    dtypes = [leaf.dtype for leaf in leaves if leaf.dtype.kind != "f"]
    if not dtypes:
        return None
    visited = {visit.path for visit in probe.survey(inputs).visits}
    found = [
        path for path, layer in walk.walk(probe.model) if isinstance(layer, keras.layers.Embedding) and path in visited
    ]
    if len(found) == 1 and len(dtypes) == len(leaves):
        return found[0]
    known = f"the model has the embeddings {', '.join(found)}" if found else "the model runs no keras.layers.Embedding"
    raise ValueError(
        f"x must be floats to be differentiated; received dtype {dtypes[0]}, and {known}. For token ids pass "
        "layer= with the name of the embedding layer; for images pass x.astype('float32')."
    )


def look(probe: "Probe", inputs: Any, layer: Any) -> tuple["Probe", str | None]:
    """See the model from a layer: the given one, or for token ids the embedding; its path is None at the inputs.

    Args:
        probe: the model, seen from its inputs.
        inputs: checked arrays in the model's structure.
        layer: what the user gave, or None.
    """
    wanted = embedding_of(probe, inputs) if layer is None else layer
    if wanted is None:
        return probe, None
    tap, path = locate(probe.model, wanted)
    return probe.at(tap), path


def merge_calls(parts: Any) -> Any:
    """Sum what was found at the several calls of a shared layer, arrays or tensors; a single one stays as it is.

    Raises:
        ValueError: if the calls return different shapes.

    >>> merge_calls([np.ones((1, 2)), np.ones((1, 2))]).tolist()
    [[2.0, 2.0]]
    """
    if not isinstance(parts, list):
        return parts
    shapes = {tuple(part.shape) for part in parts}
    if len(shapes) > 1:
        raise ValueError(
            f"layer must return one shape at all of its {len(parts)} calls to be summed over them; it returns "
            f"{sorted(shapes)}. Pick one call with a number after its name, such as layer='encoder:0'."
        )
    return sum(parts[1:], start=parts[0])
