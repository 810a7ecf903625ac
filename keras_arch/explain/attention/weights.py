"""How attention weights are seen while a model runs: read only, or put on the way of its gradients."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from keras_arch.core import tap, walk
from keras_arch.explain import backend
from keras_arch.explain.scene import Scene

_ARGUMENT = "return_attention_scores"
_KNOWN = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention, keras.layers.Attention)
# Where they compute: this package's own, those of Keras's multi-head layers, and of its Attention (Keras 3.15).
_HOOKS = ("_attend", "_compute_attention", "_apply_scores")


@dataclass(frozen=True)
class Seen:
    """The weights of one call of one layer.

    Attributes:
        path: of the layer.
        weights: tensor (B, N, T, S), after the softmax and before any dropout; what the engine watches, if it does.
        is_self: whether queries and keys come from one tensor.
    """

    path: str
    weights: Any
    is_self: bool


def attention_layers(model: keras.Model) -> list[tuple[str, keras.Layer]]:
    """(path, layer) of all layers that can show their weights; of one inside another, the inner.

    These are the attention layers of Keras and of this package, and any layer whose call takes
    `return_attention_scores`.

    Raises:
        ValueError: if there is none.

    >>> block = ka.layers.TransformerEncoderBlock(num_heads=2, intermediate_dim=8, name="block")
    >>> model = keras.Sequential([keras.Input((3, 4)), block])
    >>> [path for path, _ in attention_layers(model)]
    ['block/attention']
    """
    found = [(path, layer) for path, layer in walk.walk(model) if _shows_weights(layer)]
    inner = [one for one in found if not any(path.startswith(f"{one[0]}/") for path, _ in found)]
    if not inner:
        raise ValueError(
            f"model must have an attention layer, whose call takes {_ARGUMENT}; received the model {model.name!r} "
            "without one. Use a method that needs none, such as IntegratedGradients or GradCAM."
        )
    return inner


def _shows_weights(layer: keras.Layer) -> bool:
    return isinstance(layer, _KNOWN) or _ARGUMENT in inspect.signature(layer.call).parameters


@contextlib.contextmanager
def shown(model: keras.Model, watch: Callable[[Any], Any] | None = None) -> Iterator[list[Seen]]:
    """Note the weights of all attention layers that run inside the block, in the order of their calls.

    The model returns what it returns outside: beside its own path, fused or not, a layer also computes the path that
    shows the weights. Where gradients are wanted, what the difference between the watched weights and themselves, 0,
    takes from the values is added to its output.

    Args:
        model: it runs inside the block.
        watch: None, or what gives the tensor to differentiate at for each tensor of weights.
    Raises:
        ValueError: at the end, if a layer cannot show its weights, or runs in a loop.
    """
    engine = backend.engine()
    notes = _Notes(watch, engine.trace())
    with contextlib.ExitStack() as stack:
        for path, layer in attention_layers(model):
            around = _around_known if isinstance(layer, _KNOWN) else _around_other
            stack.enter_context(tap.intercept(layer, around(path, layer, notes)))
        yield notes.seen
    # Errors raised inside a layer would be wrapped by Keras, so they are raised after the pass.
    if notes.problem is not None:
        raise notes.problem


@dataclass
class _Notes:
    watch: Callable[[Any], Any] | None
    here: Any
    seen: list[Seen] = field(default_factory=list)
    problem: ValueError | None = None

    def take(self, path: str, weights: Any, is_self: bool) -> Any:
        """Note weights; return what is to be added to them, or None."""
        engine = backend.engine()
        if not engine.belongs(weights, self.here):
            self.refuse(path, "runs inside a loop of another layer, out of which its weights cannot be taken")
            return None
        if self.watch is None:
            self.seen.append(Seen(path, weights, is_self))
            return None
        watched = self.watch(ops.stop_gradient(weights))
        self.seen.append(Seen(path, watched, is_self))
        return watched - ops.stop_gradient(watched)

    def refuse(self, path: str, reason: str) -> None:
        self.problem = self.problem or ValueError(
            f"model must let its attention weights be seen; its layer {path!r} {reason}. Use a method that needs no "
            "attention weights, such as IntegratedGradients."
        )


def _around_known(path: str, layer: keras.Layer, notes: _Notes) -> Callable:
    """What runs in place of the call of a layer that computes in a method of `_HOOKS`."""

    def around(original: Callable, *args: Any, **kwargs: Any) -> Any:
        is_self = _attends_to_itself(args, kwargs)
        done: list[bool] = []

        def hooked(name: str) -> Callable:
            compute = getattr(layer, name)

            def run(*inner: Any, **named: Any) -> Any:
                if done:  # one hook calls another
                    return compute(*inner, **named)
                done.append(True)
                bound = _signature(layer, name).bind(layer, *inner, **named)
                output, scores = compute(*inner, **named)
                weights = _weights(layer, compute, bound) if scores is None else scores
                if weights is None:
                    notes.refuse(path, f"returns no weights from its {name}")
                    return output, scores
                extra = notes.take(path, weights, is_self)
                return (output if extra is None else output + _combined(layer, extra, bound.arguments)), scores

            return run

        hooks = {name: hooked(name) for name in _HOOKS if hasattr(layer, name)}
        with tap.replaced(layer, **hooks):
            result = original(*args, **kwargs)
        if not done:
            notes.refuse(path, "computes attention in a way of its own")
        return result

    return around


def _weights(layer: keras.Layer, compute: Callable, bound: inspect.BoundArguments) -> Any:
    """The weights, by the path that shows them: `_flash_attention`, `_return_attention_scores` forbid or ask for it."""
    if _ARGUMENT in bound.signature.parameters:
        bound.arguments[_ARGUMENT] = True
    private = {name: name == f"_{_ARGUMENT}" for name in ("_flash_attention", f"_{_ARGUMENT}") if hasattr(layer, name)}
    with tap.replaced(layer, **private):
        return compute(*bound.args[1:], **bound.kwargs)[1]


def _signature(layer: keras.Layer, name: str) -> inspect.Signature:
    """Of a method: an override that hands on `*args` has the arguments of the one below."""
    found = [inspect.signature(vars(base)[name]) for base in type(layer).__mro__ if name in vars(base)]
    passes = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = [one for one in found if not any(part.kind in passes for part in one.parameters.values())]
    return (named or found)[0]


def _combined(layer: keras.Layer, weights: Any, arguments: dict) -> Any:
    """What these weights take from the values: the way from weights to output is linear."""
    value = arguments["seen"].value if "seen" in arguments else arguments["value"]
    equation = getattr(layer, "_combine_equation", None)
    if equation is None:
        return ops.matmul(weights, value)
    heads = layer.num_query_heads if isinstance(layer, keras.layers.GroupQueryAttention) else layer.num_heads
    if value.shape[-2] != heads:
        value = ops.repeat(value, heads // value.shape[-2], axis=-2)  # (B, S, N, V)
    return ops.einsum(equation, ops.cast(weights, value.dtype), value)


def _around_other(path: str, layer: keras.Layer, notes: _Notes) -> Callable:
    """What runs in place of the call of any other layer: it is asked for its weights by its own argument."""
    signature = inspect.signature(layer.call)

    def around(original: Callable, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        wanted = bool(bound.arguments.get(_ARGUMENT, False))
        bound.arguments[_ARGUMENT] = True
        result = original(*bound.args, **bound.kwargs)
        if not isinstance(result, tuple) or len(result) < 2 or not hasattr(result[1], "shape"):
            notes.refuse(path, f"returns no weights for {_ARGUMENT}=True")
            return result
        if notes.watch is not None:
            notes.refuse(path, "shows its weights, but not where they meet the values, so they have no gradient")
        else:
            notes.take(path, result[1], _attends_to_itself(args, kwargs))
        if wanted:
            return result
        rest = (result[0], *result[2:])
        return rest if len(rest) > 1 else rest[0]

    return around


def _attends_to_itself(args: tuple, kwargs: dict) -> bool:
    """Whether the query is also the value or the key, or there is nothing else."""
    inputs = kwargs.get("inputs", args[0] if args else None)
    if isinstance(inputs, list | tuple):
        query, others = inputs[0], list(inputs[1:])
    else:
        tensors = [*args, *(kwargs[name] for name in ("query", "value", "key") if name in kwargs)]
        query, others = tensors[0], [one for one in tensors[1:3] if one is not None]
    return not others or any(other is query for other in others)


def by_call(seen: list[Seen]) -> dict[str, Seen]:
    """Name the calls: the layer's path, and where it is called several times the number of the call.

    >>> list(by_call([Seen("a", None, True), Seen("b", None, True), Seen("a", None, True)]))
    ['a:0', 'b', 'a:1']
    """
    paths = [one.path for one in seen]
    numbered = [f"{path}:{paths[:index].count(path)}" for index, path in enumerate(paths)]
    names = [long if paths.count(path) > 1 else path for path, long in zip(paths, numbered, strict=True)]
    return dict(zip(names, seen, strict=True))


def chosen(seen: dict[str, Seen], layers: tuple[str, ...] | None) -> dict[str, Seen]:
    """Those of the named layers, or of the attention layers inside of them, in the order in which they run.

    Args:
        seen: from `by_call`.
        layers: paths of layers, or with ":" and a number of one of their calls; None for all.
    Raises:
        ValueError: if a path leads to no attention layer that runs, or none runs at all.
    """
    if not seen:
        raise ValueError(
            "model must run an attention layer to show its weights; none ran. Check that the model calls its attention "
            "layers for these inputs."
        )
    if layers is None:
        return seen

    def fits(name: str, one: Seen, wanted: str) -> bool:
        return wanted in (name, one.path) or one.path.startswith(f"{wanted}/")

    for wanted in layers:
        if not any(fits(name, one, wanted) for name, one in seen.items()):
            raise ValueError(
                f"layers must name attention layers that run; received {wanted!r}. Those that run are: "
                f"{', '.join(seen)}."
            )
    return {name: one for name, one in seen.items() if any(fits(name, one, wanted) for wanted in layers)}


def laid_out(weights: Any, batch: int) -> Any:
    """Weights as float32 with a batch axis and a heads axis: (B, N, T, S), or (B, windows, N, T, S) where each sample
    was cut into windows."""
    weights = ops.cast(weights, "float32")
    shape = tuple(weights.shape)
    if len(shape) == 3:
        return ops.expand_dims(weights, 1)
    if shape[0] != batch and shape[0] is not None and shape[0] % batch == 0:
        return ops.reshape(weights, (batch, shape[0] // batch, *shape[1:]))  # (B, windows, N, T, S)
    return weights


@dataclass(frozen=True)
class Reading:
    """Work on a scene: the model's outputs and the weights of its attention layers.

    Args:
        layers: see `chosen`.
    """

    layers: tuple[str, ...] | None = None

    def __call__(self, scene: Scene, inputs: Any) -> tuple[Any, dict[str, Any]]:
        """(outputs, weights by number and name): the keys sort as the layers run."""
        with shown(scene.model) as seen:
            outputs, _ = scene.forward([], inputs)
        batch = keras.tree.flatten(inputs)[0].shape[0]
        found = chosen(by_call(seen), self.layers)
        return outputs, {f"{n:05d} {name}": laid_out(one.weights, batch) for n, (name, one) in enumerate(found.items())}
