"""Drawing the weights of a model anew, one layer after the other, from its output down."""

import keras
import numpy as np

from keras_arch.core import walk
from keras_arch.explain.survey import Survey


def stages(model: keras.Model, survey: Survey) -> list[tuple[str, list[tuple[keras.Layer, keras.Variable]]]]:
    """Which layers have weights of their own, the last to run first: path, and each weight with its layer.

    A weight that layers share is drawn with the first of them, the one nearest to the output. What a layer has learned
    from data by `adapt`, and whole numbers, are no weights here.

    Args:
        model: a built model.
        survey: in which order its layers run.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(1, name="b")])
    >>> from keras_arch.explain.probe import Probe
    >>> [path for path, _ in stages(model, Probe(model).survey(np.ones((1, 2), "float32")))]
    ['b', 'a']
    """
    order = {visit.path: number for number, visit in enumerate(survey.visits)}
    layers = [(model.name, model), *walk.walk(model)]
    ranked = sorted(enumerate(layers), key=lambda item: (_place(item[1], model, order), item[0]), reverse=True)
    seen: set[int] = set()
    found = []
    for _, (path, layer) in ranked:
        inside = {id(weight) for _, part in walk.walk(layer) for weight in part.weights}
        own = [weight for weight in layer.weights if id(weight) not in inside | seen]
        own = [weight for weight in own if keras.backend.is_float_dtype(weight.dtype) and not hasattr(layer, "adapt")]
        seen |= {id(weight) for weight in own}
        if own:
            found.append((path, [(layer, weight) for weight in own]))
    return found


def _place(named: tuple[str, keras.Layer], model: keras.Model, order: dict[str, int]) -> int:
    """When a layer runs: by itself, as a part of the layer around it, or with the last layer inside it."""
    path, layer = named
    if layer is model:
        return len(order)
    inner = [number for known, number in order.items() if known.startswith(f"{path}/")]
    while path and path not in order:
        if inner:
            return max(inner)
        path = path.rpartition("/")[0]
    return order.get(path, -1)


def redraw(layer: keras.Layer, weight: keras.Variable, generator: np.random.Generator) -> None:
    """Give a weight new numbers: of the layer's own initializer for it, with another seed; or its own, shuffled.

    Args:
        layer: whose weight it is. Its attribute `kernel_initializer` is that of the weight "kernel", and so on.
        weight: a float weight.
        generator: of seeds and orders.

    >>> layer = keras.layers.Dense(2)
    >>> layer.build((None, 3))
    >>> before = layer.get_weights()[0]
    >>> redraw(layer, layer.kernel, np.random.default_rng(0))
    >>> bool((layer.get_weights()[0] == before).any())
    False
    """
    initializer = getattr(layer, f"{weight.name}_initializer", None)
    seed = int(generator.integers(2**31))
    if callable(initializer):
        if isinstance(initializer, keras.initializers.Initializer):
            config = initializer.get_config()
            if "seed" in config:  # an initializer gives the same numbers at every call
                initializer = type(initializer).from_config({**config, "seed": seed})
        weight.assign(initializer(tuple(weight.shape), dtype=weight.dtype))
        return
    old = keras.ops.convert_to_numpy(weight.value)
    weight.assign(generator.permutation(old.reshape(-1)).reshape(old.shape))
