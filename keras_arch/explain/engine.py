"""The one door to `tf.GradientTape`: what is compiled for a model, and kept.

A model is compiled once per (model, shapes and dtypes, tapped layer, kind of target, choice of output). Targets enter
as tensors, so a new class costs no trace; a function as target is traced once per function, and Python values that it
reads are fixed then. Weights are variables, so further training shows at once; what was compiled is dropped when the
model's weights are other objects (a layer added, removed or quantized). A plain attribute that changes on a live
layer, such as its activation, is not seen. Models, layers and functions are held weakly.
"""

import inspect
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_arch.core import tap
from keras_arch.core.check import refuse
from keras_arch.explain import survey as surveys
from keras_arch.explain import target
from keras_arch.explain.target import Selection

# Operations that only move numbers, and those whose result can be taken for a logit.
_MOVES = frozenset({"Cast", "ExpandDims", "Identity", "Reshape", "Squeeze", "Transpose"})
_LINEAR = frozenset(
    {"Add", "AddV2", "BatchMatMulV2", "BiasAdd", "Conv2D", "Conv3D", "DepthwiseConv2dNative", "Einsum", "MatMul"}
)


@dataclass(frozen=True)
class Scene:
    """A model inside one trace, and the kinds of work that are compiled. Arguments and results are tensors.

    Attributes:
        model: what runs.
        layer: what is tapped; None for the inputs.
        output: "model", "logits" or "probabilities".
        selections: what is scored; classes and weights come as tensors in `values`, functions are held here.
    """

    model: keras.Model
    layer: keras.Layer | None
    output: str
    selections: tuple[Selection, ...]

    def forward(self, values: list, inputs: Any) -> tuple[Any, Any]:
        """Outputs and scores."""
        outputs = self._choose(self.model(inputs, training=False))
        return outputs, self._score(values, outputs)

    def read(self, values: list, inputs: Any) -> Any:
        """Output of the tapped layer."""
        return tf.cast(self._tapped(inputs, lambda result: result)[1], tf.float32)

    def forward_from(self, values: list, inputs: Any, point: Any) -> Any:
        """Scores when the tapped layer returns `point`."""
        outputs, _ = self._tapped(inputs, lambda result: tf.cast(point, result.dtype))
        return self._score(values, self._choose(outputs))

    def gradient(self, values: list, inputs: Any) -> tuple[Any, Any, Any, Any]:
        """Point, gradient there, outputs and scores."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            if self.layer is None:
                tape.watch(inputs)
                outputs, point = self.model(inputs, training=False), inputs
            else:

                def watch(result: Any) -> Any:
                    tape.watch(result)
                    return result

                outputs, point = self._tapped(inputs, watch)
            outputs = self._choose(outputs)
            scores = self._score(values, outputs)
        return _float32(point), self._differentiate(tape, scores, point), outputs, scores

    def path_step(self, values: list, inputs: Any, start: Any, stop: Any, node: Any, weight: Any, total: Any) -> Any:
        """`total` plus the weighted gradient at one node of the straight path."""
        point = keras.tree.map_structure(lambda a, b: a + node * (b - a), start, stop)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            if self.layer is None:
                outputs = self.model(point, training=False)
            else:
                outputs, _ = self._tapped(inputs, lambda result: tf.cast(point, result.dtype))
            scores = self._score(values, self._choose(outputs))
        gradient = self._differentiate(tape, scores, point)
        return keras.tree.map_structure(lambda t, g: t + weight * g, total, gradient)

    def _tapped(self, inputs: Any, change: Callable[[Any], Any]) -> tuple[Any, Any]:
        seen = []
        graph = tf.compat.v1.get_default_graph()

        def keep(result: Any) -> Any:
            # Errors raised here would be wrapped by Keras, so they are raised after the pass.
            usable = tf.is_tensor(result) and result.graph is graph and result.dtype.is_floating
            seen.append(change(result) if usable else result)
            return seen[-1]

        with tap.tap(self.layer, keep):
            outputs = self.model(inputs, training=False)
        if len(seen) != 1:
            often = "is not called" if not seen else f"is called {len(seen)} times"
            raise self._refuse_layer(f"must be called once when the model runs; {self.layer.name!r} {often}")
        if not tf.is_tensor(seen[0]):
            raise self._refuse_layer(f"must return one tensor; {self.layer.name!r} returns {type(seen[0]).__name__}")
        if not seen[0].dtype.is_floating:
            raise self._refuse_layer(f"must return floats; {self.layer.name!r} returns {seen[0].dtype.name}")
        if seen[0].graph is not graph:
            raise self._refuse_layer(f"must not run inside a loop of another layer; {self.layer.name!r} does")
        return outputs, seen[0]

    def _refuse_layer(self, rule: str) -> ValueError:
        return ValueError(f"layer {rule}. Choose another layer; model.summary(expand_nested=True) lists them.")

    def _choose(self, outputs: Any) -> Any:
        if self.output == "model":
            return _float32(outputs)
        return _float32(keras.tree.map_structure(lambda tensor: _walk_back(tensor, self.output), outputs))

    def _score(self, values: list, outputs: Any) -> Any:
        tensors = iter(values)
        stand_ins = [
            part.value if part.kind == "function" else None if part.kind == "predicted" else next(tensors)
            for part in self.selections
        ]
        return target.score(self.selections, stand_ins, outputs)

    def _differentiate(self, tape: tf.GradientTape, scores: Any, point: Any) -> Any:
        """Gradient of each sample's score. Samples do not mix at inference, so that of the sum has them all."""
        leaves = keras.tree.flatten(point)
        gradients = tape.gradient(scores, leaves)
        if self.layer is not None and gradients[0] is None:
            raise self._refuse_layer(
                f"must lead to the target by differentiable steps; nothing flows back to {self.layer.name!r}"
            )
        filled = [
            tf.zeros_like(a) if g is None else tf.convert_to_tensor(g) for a, g in zip(leaves, gradients, strict=True)
        ]
        return _float32(keras.tree.pack_sequence_as(point, filled) if keras.tree.is_nested(point) else filled[0])


def _float32(tensors: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: tf.cast(tensor, tf.float32), tensors)


def _walk_back(tensor: Any, output: str) -> Any:
    """The tensor before a final softmax or sigmoid, or the one after it, found in the traced graph."""
    end = tensor
    while end.op.type in ("Cast", "Identity"):
        end = end.op.inputs[0]
    if end.op.type in ("Softmax", "Sigmoid"):
        return end.op.inputs[0] if output == "logits" else tensor
    deep = end
    while deep.op.type in _MOVES:
        deep = deep.op.inputs[0]
    if output == "logits" and deep.op.type in _LINEAR:
        return tensor
    advice = (
        "Let the model end in a softmax or sigmoid, or in a linear layer"
        if output == "logits"
        else "Append keras.layers.Softmax() to the model"
    )
    found = f"an operation of type {end.op.type!r}"
    raise ValueError(
        f"output must be 'model' for a model that ends in {found}: its {output} cannot be told; "
        f"received output={output!r}. {advice}, or pass output='model'."
    )


class _Programs:
    """What is compiled for one model while its weights stay the same objects."""

    def __init__(self, variables: list) -> None:
        self.variables = variables  # TensorFlow's own variables, which know no Keras layer
        self.table: dict = {}


_PROGRAMS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _programs(model: keras.Model) -> _Programs:
    variables = [weight.value for weight in model.weights]
    known = _PROGRAMS.get(model)
    if known is None or list(map(id, known.variables)) != list(map(id, variables)):
        known = _PROGRAMS[model] = _Programs(variables)
    return known


def survey(model: keras.Model, inputs: Any) -> surveys.Survey:
    """What `explain.survey.survey` finds for these shapes, remembered.

    Args:
        model: any Keras model; it is built here if it was not.
        inputs: structure of tensors.
    """
    if not model.built:
        model(inputs, training=False)
    with tap.LOCK:
        table = _programs(model).table
        key = ("survey", _signature(inputs))
        if key not in table:
            table[key] = surveys.survey(model, inputs)
        return table[key]


def program(
    kind: Callable, model: keras.Model, layer: keras.Layer | None, output: str, selections: tuple, args: Any
) -> Callable:
    """Compile one kind of work, or find it compiled.

    Args:
        kind: a method of `Scene`.
        model: what it works on.
        layer: what is tapped; None for the inputs.
        output: "model", "logits" or "probabilities".
        selections: what is scored.
        args: the tensors it will be called with.
    Returns:
        A function of such tensors that never traces again.
    """
    functions = tuple(_weak(part.value) for part in selections if part.kind == "function")
    kinds = tuple((part.path, part.kind) for part in selections)
    tapped = None if layer is None else weakref.ref(layer)
    key = (kind, output, kinds, tapped, *functions, _signature(args))
    with tap.LOCK:
        table = _programs(model).table
        if key not in table:
            for known in [known for known in table if any(map(_is_dead, known))]:
                del table[known]
            table[key] = _trace(kind, weakref.ref(model), tapped, output, kinds, functions, args)
        return table[key]


def _trace(
    kind: Callable,
    model: weakref.ref,
    layer: weakref.ref | None,
    output: str,
    kinds: tuple,
    functions: tuple,
    args: tuple,
) -> Callable:
    """Trace under the lock; what is returned holds neither the model nor the layer nor the target's function."""

    def work(*args: Any) -> Any:
        pending = iter(functions)
        parts = tuple(
            Selection(path, name, _strong(next(pending)) if name == "function" else None) for path, name in kinds
        )
        return kind(Scene(model(), None if layer is None else layer(), output, parts), *args)

    compiled = tf.function(work, autograph=False)
    compiled.get_concrete_function(*args)
    return compiled


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
    return any(isinstance(one, weakref.ref) and one() is None for one in (part if isinstance(part, tuple) else (part,)))


def _signature(args: Any) -> str:
    return repr(keras.tree.map_structure(lambda leaf: f"{leaf.dtype.name}{tuple(leaf.shape)}", args))


def tensor(array: Any) -> tf.Tensor:
    """Put an array onto the device."""
    return tf.convert_to_tensor(array)
