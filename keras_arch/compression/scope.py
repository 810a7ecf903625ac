"""Which weights are pruned, and which of them are ranked together."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import keras
import numpy as np

from keras_arch.core.check import describe
from keras_arch.core.walk import find, plain_paths, walk
from keras_arch.ops import sparsity as masks

Targets = None | Sequence[str] | Callable[[str, keras.Variable], bool]
SCOPES = ("layer", "global")

# Parts of names that Keras gives to what is not a kernel. "lora": the product of two sparse factors is dense.
_NOT_KERNELS = ("bias", "gamma", "beta", "scale", "alpha", "embedding", "depthwise", "lora")
_DENSE_LAYERS = (
    keras.layers.Embedding,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.PReLU,
)


@dataclasses.dataclass(frozen=True)
class Target:
    """One weight to prune.

    Args:
        path: path of the layer that owns it, as `core.walk.plain_paths` spells it, so that a quantized copy has the
            paths of its model; the model's name for the model's own.
        variable: the weight.

    >>> from keras_arch.compression.scope import select
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="head")])
    >>> [(target.path, target.variable.name) for target in select(model)]
    [('head', 'kernel')]
    """

    path: str
    variable: keras.Variable

    @property
    def size(self) -> int:
        """How many numbers the weight has."""
        return math.prod(self.variable.shape)


def select(model: keras.Model, targets: Targets = None) -> tuple[Target, ...]:
    """Find the weights that are pruned.

    None takes every trainable kernel: rank 2 or more, of dense, convolutional, recurrent, attention and custom layers,
    the last layer included, as tfmot does. It leaves out biases, normalisation, embeddings, depthwise kernels (a few
    weights a channel that cost accuracy first: Zhu & Gupta 2017, arXiv:1710.01878) and LoRA factors (their product
    would be dense). A weight that several layers share is taken once.

    Args:
        model: a built model.
        targets: None, or paths or names of layers (their kernels and those of layers inside; for a layer that has
            none, such as an embedding named on purpose, all its trainable weights of rank 2 or more), or a callable
            `(path of the layer, variable) -> bool` that is asked for every trainable floating-point weight.
    Returns:
        The targets in the order of the model's layers.
    Raises:
        ValueError: if nothing matches; lists the weights that are there.

    >>> from keras_arch.compression.scope import select
    >>> layers = [keras.Input((4,)), keras.layers.Dense(3, name="body"), keras.layers.Dense(2, name="head")]
    >>> model = keras.Sequential(layers)
    >>> [target.path for target in select(model, ["body"])]
    ['body']
    >>> [target.path for target in select(model, lambda path, variable: variable.shape[-1] == 2)]
    ['head', 'head']
    """
    weights = _trainable(model)
    if targets is None:
        chosen = [target for target, layer in weights if _is_kernel(layer, target.variable)]
    elif callable(targets):
        chosen = [target for target, _ in weights if targets(target.path, target.variable)]
    elif isinstance(targets, Sequence) and not isinstance(targets, str) and all(isinstance(t, str) for t in targets):
        wanted = {id(variable) for name in targets for variable in _inside(model, name, weights)}
        chosen = [target for target, _ in weights if id(target.variable) in wanted]
    else:
        raise ValueError(
            "targets must be None, a list of layer paths, or a callable (path, variable) -> bool; "
            f"received targets={describe(targets)}. Pass for example ['conv2d', 'dense']."
        )
    if not chosen:
        listed = ", ".join(_spell(target) for target, _ in weights[:20]) or "none; build the model, or unfreeze a layer"
        more = f" and {len(weights) - 20} more" if len(weights) > 20 else ""
        raise ValueError(
            f"targets must match at least one trainable weight; received targets={describe(targets)}. "
            f"The trainable weights are: {listed}{more}."
        )
    return tuple(chosen)


def smallest(
    scores: Iterable[np.ndarray], sparsity: float, scope: str, own: Mapping[int, float] | None = None
) -> list[np.ndarray]:
    """Mark the scores that go: a fraction of each array, or of all together.

    marked = round(sparsity · n) of the smallest, n: scores in one array ("layer") or in all ("global").

    Args:
        scores: arrays of any shapes.
        sparsity: fraction to mark, in [0, 1).
        scope: "layer" or "global"; a global ranking compares scores as they are and may empty a layer.
        own: index of an array to a fraction of its own; that array is ranked alone.
    Returns:
        Boolean arrays of the same shapes, True for what goes.

    >>> from keras_arch.compression.scope import smallest
    >>> scores = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    >>> [mask.tolist() for mask in smallest(scores, 0.5, "layer")]
    [[True, False], [True, False]]
    >>> [mask.tolist() for mask in smallest(scores, 0.5, "global")]
    [[True, True], [False, False]]
    """
    own = own or {}
    if scope == "layer":
        return [_smallest([score], own.get(number, sparsity))[0] for number, score in enumerate(scores)]
    scores = list(scores)
    together = iter(_smallest([score for number, score in enumerate(scores) if number not in own], sparsity))
    return [
        _smallest([score], own[number])[0] if number in own else next(together) for number, score in enumerate(scores)
    ]


def kernels_of(model: keras.Model, name: str, argument: str = "targets") -> list[keras.Variable]:
    """The kernels of a layer and of the layers inside it, as `select` takes them for a name.

    Args:
        model: a built model.
        name: path or name of a layer.
        argument: what to call it in errors.
    Raises:
        ValueError: if there is no such layer.

    >>> from keras_arch.compression.scope import kernels_of
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="head")])
    >>> [kernel.name for kernel in kernels_of(model, "head")]
    ['kernel']
    """
    return _inside(model, name, _trainable(model), argument)


def _smallest(scores: list[np.ndarray], sparsity: float) -> list[np.ndarray]:
    return masks.smallest_masks(scores, round(sparsity * sum(score.size for score in scores))) if scores else []


def _trainable(model: keras.Model) -> list[tuple[Target, keras.Layer]]:
    """Every trainable floating-point weight once, with the innermost layer that owns it."""
    owners: dict[int, tuple[str, keras.Layer, keras.Variable]] = {}
    for path, layer in [("", model), *walk(model)]:
        for variable in layer.trainable_variables:
            known = owners.get(id(variable))
            if known is None or not known[0] or path.startswith(known[0] + "/"):
                owners[id(variable)] = (path, layer, variable)
    plain = plain_paths(model)
    return [
        (Target(plain[path] if path else model.name, variable), layer)
        for path, layer, variable in owners.values()
        if keras.backend.is_float_dtype(variable.dtype)
    ]


def _is_kernel(layer: keras.Layer, variable: keras.Variable) -> bool:
    named_otherwise = any(part in variable.name for part in _NOT_KERNELS)
    return len(variable.shape) >= 2 and not named_otherwise and not isinstance(layer, _DENSE_LAYERS)


def _inside(
    model: keras.Model, name: str, weights: list[tuple[Target, keras.Layer]], argument: str = "targets"
) -> list[keras.Variable]:
    """Weights below the layer `name`: its kernels or, if it has none, its trainable weights of rank 2 or more."""
    below = {id(variable) for variable in find(model, name, argument).trainable_variables}
    own = [(target.variable, layer) for target, layer in weights if id(target.variable) in below]
    kernels = [variable for variable, layer in own if _is_kernel(layer, variable)]
    return kernels or [variable for variable, _ in own if len(variable.shape) >= 2 and "bias" not in variable.name]


def _spell(target: Target) -> str:
    return f"{target.path}/{target.variable.name} {tuple(target.variable.shape)}"
