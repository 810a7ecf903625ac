"""What is compiled for a model, and kept.

A model is compiled once per (model, shapes and dtypes, tapped layers, kind of target, choice of output). Targets enter
as tensors, so a new class costs no trace; a function as target is traced once per function, and Python values that it
reads are fixed then. Weights are variables, so further training shows at once; what was compiled is dropped when the
model's weights are other objects (a layer added, removed or quantized). A plain attribute that changes on a live
layer, such as its activation, is not seen. Models, layers and functions as targets are held weakly.
"""

import inspect
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import keras

from keras_arch.core.check import refuse
from keras_arch.explain import backend
from keras_arch.explain import survey as surveys
from keras_arch.explain.scene import Scene, Tap
from keras_arch.explain.target import Selection

# Not the lock of `core.tap`: replicas tap the model in threads of their own while this one waits for them.
_LOCK = threading.RLock()


class _Programs:
    """What is compiled for one model while its weights stay the same objects."""

    def __init__(self, variables: list) -> None:
        self.variables = variables
        self.table: dict = {}


_PROGRAMS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _programs(model: keras.Model) -> _Programs:
    variables = backend.engine().identities(model)
    known = _PROGRAMS.get(model)
    if known is None or len(known.variables) != len(variables) or not all(map(_is_same, known.variables, variables)):
        known = _PROGRAMS[model] = _Programs(variables)
    return known


def _is_same(one: Any, other: Any) -> bool:
    return one is other  # weak references to one living object are one object


def survey(model: keras.Model, inputs: Any) -> surveys.Survey:
    """What `explain.survey.survey` finds for these shapes, remembered.

    Args:
        model: any Keras model; it is built here if it was not.
        inputs: structure of tensors.
    """
    if not model.built:
        model(inputs, training=False)
    with _LOCK:
        table = _programs(model).table
        key = ("survey", _signature(inputs))
        if key not in table:
            table[key] = surveys.survey(model, inputs)
        return table[key]


def program(
    kind: Callable, scene: Scene, batched: tuple, shared: tuple = (), *, jit_compile: bool = False
) -> Callable[[tuple, tuple], Any]:
    """Compile one kind of work, or find it compiled.

    Args:
        kind: a hashable function of a `Scene` and tensors, such as a method of `Scene`.
        scene: what it works on.
        batched: the tensors it will be called with that have a batch axis, first.
        shared: further tensors, without a batch axis.
        jit_compile: whether XLA compiles it, where the backend leaves the choice.
    Returns:
        A function of (batched, shared) that never traces again.
    """
    functions = tuple(_weak(part.value) for part in scene.selections if part.kind == "function")
    kinds = tuple((part.path, part.kind, part.measure) for part in scene.selections)
    taps = tuple((weakref.ref(one.layer), one.call) for one in scene.taps)
    key = (kind, scene.output, kinds, taps, functions, scene.amendment, jit_compile, _signature((batched, shared)))
    with _LOCK:
        table = _programs(scene.model).table
        if key not in table:
            for known in [known for known in table if _is_dead(known)]:
                del table[known]
            work = _work(kind, weakref.ref(scene.model), taps, scene.output, kinds, functions, scene.amendment)
            table[key] = backend.engine().compiled(work, scene.model, batched, shared, jit_compile)
        return table[key]


def _work(
    kind: Callable, model: weakref.ref, taps: tuple, output: str, kinds: tuple, functions: tuple, amendment: Any
) -> Callable:
    """The work on a scene that holds neither the model nor the layers nor the target's function."""

    def work(batched: tuple, shared: tuple) -> Any:
        pending = iter(functions)
        parts = tuple(
            Selection(path, name, _strong(next(pending)) if name == "function" else None, measure)
            for path, name, measure in kinds
        )
        tapped = tuple(Tap(layer(), call) for layer, call in taps)
        return kind(Scene(model(), tapped, output, parts, amendment), *batched, *shared)

    return work


def _weak(function: Callable) -> tuple[weakref.ref, ...]:
    """References to a function, or to the object and the function of a bound method (`WeakMethod` would complain when
    it is itself collected)."""
    parts = (function.__self__, function.__func__) if inspect.ismethod(function) else (function,)
    try:
        references = tuple(map(weakref.ref, parts))
        hash(references)
    except TypeError:
        advice = "Wrap it in a function: lambda outputs: target(outputs)."
        raise refuse("target", "must be hashable and weakly referable as a function", function, advice) from None
    return references


def _strong(references: tuple[weakref.ref, ...]) -> Callable:
    parts = [reference() for reference in references]
    return types.MethodType(parts[1], parts[0]) if len(parts) == 2 else parts[0]


def _is_dead(part: Any) -> bool:
    if isinstance(part, tuple):
        return any(map(_is_dead, part))
    return isinstance(part, weakref.ref) and part() is None


def _signature(args: Any) -> str:
    return repr(
        keras.tree.map_structure(lambda leaf: f"{keras.backend.standardize_dtype(leaf.dtype)}{tuple(leaf.shape)}", args)
    )
