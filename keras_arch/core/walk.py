"""Walking a model: every sublayer once, each with a path that a user can type."""

import difflib
from collections.abc import Iterator

import keras

from keras_arch.core.check import refuse


def _children(layer: keras.Layer) -> list[keras.Layer]:
    """Direct sublayers of any layer. `Layer._layers` is private (Keras 3.15); `model.layers` stops at models."""
    return list(layer._layers)


def walk(root: keras.Layer) -> Iterator[tuple[str, keras.Layer]]:
    """Yield (path, layer) for every sublayer below `root`, depth first in order of creation, each layer once.

    A path joins layer names by "/", without the root's own: `"mobilenetv2/out_relu"`. A shared layer is
    yielded under the first path that reaches it.

    Args:
        root: a model or a layer.

    >>> inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="head")], name="inner")
    >>> model = keras.Sequential([keras.Input((2,)), inner])
    >>> [path for path, layer in walk(model) if not isinstance(layer, keras.layers.InputLayer)]
    ['inner', 'inner/head']
    """
    seen = {id(root)}

    def descend(layer: keras.Layer, prefix: str) -> Iterator[tuple[str, keras.Layer]]:
        for child in _children(layer):
            if id(child) in seen:
                continue
            seen.add(id(child))
            hidden = isinstance(child, keras.Model) and child is getattr(layer, "_functional", None)
            path = prefix.rstrip("/") if hidden else prefix + child.name
            if not hidden:
                yield path, child
            yield from descend(child, path + "/" if path else "")

    yield from descend(root, "")


def plain_paths(root: keras.Layer) -> dict[str, str]:
    """Path of every sublayer to the one that users know it by, without wrappers that have the name of what is inside.

    A quantized copy of a model has such wrappers: its `"conv/conv"` is the `"conv"` of the model it was made from.

    Args:
        root: a model or a layer.

    >>> inner = keras.layers.Dense(1, name="head")
    >>> plain_paths(keras.Sequential([keras.layers.TimeDistributed(inner, name="head")]))
    {'head': 'head', 'head/head': 'head'}
    """
    layers, plain = dict(walk(root)), {}
    for path, layer in layers.items():
        outer, _, name = path.rpartition("/")
        wrapper = layers.get(outer)
        wrapped = isinstance(wrapper, keras.layers.Wrapper) and wrapper.layer is layer and wrapper.name == name
        plain[path] = plain[outer] if wrapped else f"{plain[outer]}/{name}" if outer else name
    return plain


def find(root: keras.Layer, path: str, argument: str = "layer") -> keras.Layer:
    """Find one sublayer by its path, by the end of its path, or by its bare name when that is unique.

    Of a wrapper and what is inside it by the same name, it is the wrapper.

    Args:
        root: a model or a layer.
        path: "conv2d", "backbone/conv2d".
        argument: name of the user's argument, for the error.
    Raises:
        ValueError: if nothing or more than one layer matches; names the nearest paths.
    """
    paths = dict(walk(root))
    if path in paths:
        return paths[path]
    found: dict[str, str] = {}
    for known, plain in plain_paths(root).items():
        if any(f"/{spelt}".endswith(f"/{path}") for spelt in (known, plain)):
            found.setdefault(plain, known)
    ends = list(found.values())
    if len(ends) == 1:
        return paths[ends[0]]
    if ends:
        raise ValueError(
            f"{argument} must name one layer; received {argument}={path!r}, which matches {', '.join(ends)}. "
            "Write the whole path of one of them."
        )
    near = difflib.get_close_matches(path, paths, n=3, cutoff=0.4) or list(paths)[-3:]
    raise ValueError(
        f"{argument} must name a layer of the model; received {argument}={path!r}. "
        f"The nearest are: {', '.join(near) or 'none, the model has no layers'}."
    )


def path_of(root: keras.Layer, layer: keras.Layer) -> str:
    """Path of a sublayer object, as `walk` spells it.

    Raises:
        ValueError: if `layer` is not part of `root`.
    """
    for path, candidate in walk(root):
        if candidate is layer:
            return path
    raise ValueError(
        f"layer must be part of the model {root.name!r}; received layer={layer.name!r}, which is not. "
        "Pass a layer of this model, or its name."
    )


def locate(root: keras.Layer, layer: keras.Layer | str, argument: str = "layer") -> tuple[keras.Layer, str]:
    """Turn a user's choice of a layer, by name, path or object, into the layer and its path.

    Args:
        root: a model or a layer.
        layer: what `find` takes, or a layer object.
        argument: name of the user's argument, for the error.
    Raises:
        ValueError: if it is not one layer of `root`.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="head")])
    >>> locate(model, "head")[1], locate(model, model.layers[0])[1]
    ('head', 'head')
    """
    if not isinstance(layer, str | keras.Layer):
        raise refuse(argument, "must be a layer, its name or its path", layer, "Pass for example a layer's name.")
    found = find(root, layer, argument) if isinstance(layer, str) else layer
    return found, path_of(root, found)
