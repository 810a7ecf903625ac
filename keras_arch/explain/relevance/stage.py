"""A model whose layers hand relevance back by rules, for the time of one trace."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from keras_arch.core import tap, walk
from keras_arch.explain.backend.activations import refuse_output
from keras_arch.explain.relevance import products
from keras_arch.explain.relevance.composite import Composite
from keras_arch.explain.relevance.ledger import Ledger, faded
from keras_arch.explain.relevance.linear_map import LinearMap
from keras_arch.explain.relevance.loops import looping
from keras_arch.explain.relevance.maps import has_kernel, is_convolution, linear_maps, merged, scale_and_shift
from keras_arch.explain.relevance.norms import affine_part, is_norm, norm_part
from keras_arch.explain.relevance.origin import MOVES, RESCALES, Origin
from keras_arch.explain.relevance.rules import Rule

L = keras.layers


@dataclass(frozen=True)
class Made:
    """How a tensor came about: by a linear layer without activation.

    Attributes:
        result: the tensor; held, so that no other takes its id.
        value: the same number before any rule came in.
        linear: what made it.
        rule: of that layer.
        x: the input of that layer, or its `Origin` if the rule asks for that.
    """

    result: Any
    value: Any
    linear: LinearMap
    rule: Rule
    x: Any


@dataclass(eq=False)
class Stage:
    """Makes a model hand relevance back by rules while it runs inside `self(model)`.

    Args:
        composite: rule of each layer with a kernel.
        attention: "constant" or "attnlrp".
        ledger: where absorbed relevance is booked.
        output: "model", "logits" or "probabilities": what the model is made to return.
        origin: makes an `Origin` of one of the model's inputs, or None where no rule asks for it.
        spared: layers that are left as they are.
    """

    composite: Composite
    attention: str
    ledger: Ledger
    output: str
    origin: Callable[[Any], Origin | None]
    spared: tuple = ()
    sees_input: bool = False
    _made: dict[int, Made] = field(default_factory=dict)
    _origins: dict[int, Origin] = field(default_factory=dict)
    _ends: dict[int, tuple] = field(default_factory=dict)
    _plain: dict[int, Any] = field(default_factory=dict)
    _wrong: ValueError | None = None

    @contextlib.contextmanager
    def __call__(self, model: keras.Model) -> Iterator[None]:
        """Run the model inside, and find it as it was afterwards."""
        layers = dict(walk.walk(model))
        fades = products.fades(layers.values(), self.attention)
        hidden = {id(part) for layer in layers.values() if isinstance(layer, L.RNN) for _, part in walk.walk(layer)}
        with contextlib.ExitStack() as stack:
            stack.enter_context(tap.intercept(model, self._run))
            for operation in products.operations(model, layers.values()):
                around = products.around(operation, self.ledger, self._pass)
                if around is not None:
                    stack.enter_context(tap.intercept(operation, around))
            for path, layer in layers.items():
                if id(layer) in hidden or any(layer is one for one in self.spared):
                    continue
                if isinstance(layer, L.RNN):
                    stack.enter_context(looping(layer, self.ledger))
                    continue
                around = self._around(path, layer, fades.get(id(layer), 1.0))
                if around is not None:
                    stack.enter_context(tap.intercept(layer, around))
                elif (activation := products.activation_of(layer)) is not None:
                    stack.enter_context(tap.replaced(layer, activation=self._passing(activation)))
            yield
        if self._wrong is not None:
            raise self._wrong

    def _around(self, path: str, layer: keras.Layer, fade: float) -> Callable | None:
        """What runs in place of a layer's call, if it needs anything."""
        if has_kernel(layer):
            return self._linear(path, layer, fade)
        if isinstance(layer, L.BatchNormalization):
            return self._batch_normalization(layer)
        if is_norm(layer):
            return self._norm(layer)
        if isinstance(layer, MOVES + RESCALES):
            return self._moved(layer)
        if isinstance(layer, L.Softmax | L.ReLU | L.ELU) and not _is_plain_relu(layer):
            return self._passed_layer(layer)
        return products.around_layer(layer, self.attention)

    def _run(self, original: Callable, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The model's own call: notes what its inputs are, and returns what `output` means."""
        for leaf in keras.tree.flatten(inputs):
            origin = self.origin(leaf)
            if origin is not None:
                self._origins[id(leaf)] = origin
        return keras.tree.map_structure(self._chosen, original(inputs, *args, **kwargs))

    def _chosen(self, tensor: Any) -> Any:
        if self.output == "model":
            return tensor
        if id(tensor) in self._ends:
            before, after = self._ends[id(tensor)]
            return before if self.output == "logits" else after
        if self.output == "logits" and id(tensor) in self._plain:
            return tensor
        self._wrong = refuse_output(self.output, "something else than a layer with softmax or sigmoid")
        return tensor

    def _linear(self, path: str, layer: keras.Layer, fade: float) -> Callable:
        def around(original: Callable, x: Any, *args: Any, **kwargs: Any) -> Any:
            activation = getattr(layer, "activation", None)
            for make in linear_maps(layer, original, args, kwargs):
                linear, result = make(x)
                x = self._handed_on(path, layer, linear, x, result)
            if activation in (None, keras.activations.linear):
                self._plain[id(x)] = x
            else:
                x = self._passing(activation)(x)
            return faded(x, fade)

        return around

    def _handed_on(self, path: str, layer: keras.Layer, linear: LinearMap, x: Any, result: Any) -> Any:
        origin = self._origin_of(x)
        rule = self.composite.rule_for(path, is_convolution=is_convolution(layer), sees_input=origin is not None)
        if origin is not None and rule is self.composite.input:
            self.sees_input = True
        source = origin if rule.needs_input else x
        fixed = ops.stop_gradient(result)
        kept = self.ledger.keep(fixed, rule.part(linear, source, ops.cast(fixed, "float32")))
        self._made[id(kept)] = Made(kept, fixed, linear, rule, source)
        return kept

    def _batch_normalization(self, layer: keras.Layer) -> Callable:
        def around(original: Callable, x: Any, *args: Any, **kwargs: Any) -> Any:
            scale, shift = scale_and_shift(layer, x)
            made = self._made.get(id(x))
            if made is None:
                result = ops.stop_gradient(original(x, *args, **kwargs))
                return self.ledger.keep(result, ops.cast(x, "float32") * scale)
            # Not of x: the rule that made it would be computed, for nothing.
            result = ops.stop_gradient(original(made.value, *args, **kwargs))
            linear = merged(made.linear, scale, shift)
            kept = self.ledger.keep(result, made.rule.part(linear, made.x, ops.cast(result, "float32")))
            self._plain[id(kept)] = kept
            return kept

        return around

    def _norm(self, layer: keras.Layer) -> Callable:
        def around(original: Callable, x: Any, *args: Any, **kwargs: Any) -> Any:
            result = ops.stop_gradient(original(x, *args, **kwargs))
            return self.ledger.keep(result, norm_part(layer, result, x))

        return around

    def _moved(self, layer: keras.Layer) -> Callable:
        def around(original: Callable, x: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(x, *args, **kwargs)
            if isinstance(layer, RESCALES):
                result = self.ledger.keep(ops.stop_gradient(result), affine_part(original, x))
            origin = self._origin_of(x)
            moved = None if origin is None else origin.through(layer, original)
            if moved is not None:
                self._origins[id(result)] = moved.standing_for(result)
            return result

        return around

    def _origin_of(self, tensor: Any) -> Origin | None:
        """Of a tensor, or of the one that it was cast from, as layers do in mixed precision (TensorFlow tells)."""
        if id(tensor) in self._origins:
            return self._origins[id(tensor)]
        operation = getattr(tensor, "op", None)
        if operation is None or operation.type != "Cast":
            return None
        found = self._origin_of(operation.inputs[0])
        return None if found is None else found.cast(tensor)

    def _passed_layer(self, layer: keras.Layer) -> Callable:
        return lambda original, x, *args, **kwargs: self._pass(
            x, ops.stop_gradient(original(x, *args, **kwargs)), isinstance(layer, L.Softmax)
        )

    def _passing(self, activation: Callable) -> Callable:
        if activation in (keras.activations.linear, keras.activations.relu, keras.activations.leaky_relu):
            return activation
        is_end = activation in (keras.activations.softmax, keras.activations.sigmoid)
        return lambda x, *args, **kwargs: self._pass(x, ops.stop_gradient(activation(x, *args, **kwargs)), is_end)

    def _pass(self, before: Any, after: Any, is_end: bool) -> Any:
        """Pass relevance through an elementwise function, which may turn logits into probabilities."""
        passed = self.ledger.passed(before, after)
        if is_end:
            self._ends[id(passed)] = (before, passed)
        return passed


def _is_plain_relu(layer: keras.Layer) -> bool:
    """max(x, slope x): its gradient is its rule."""
    return isinstance(layer, L.ReLU) and layer.max_value is None and not layer.threshold
