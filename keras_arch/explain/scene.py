"""A model inside one compiled call, and the kinds of work that are done there."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_arch.core import tap
from keras_arch.explain import backend, target
from keras_arch.explain.target import Selection


@dataclass(frozen=True)
class Tap:
    """A layer whose output is read, differentiated at, or replaced.

    Attributes:
        layer: the layer.
        call: which of its calls, counted from 0; None for all of them.
    """

    layer: keras.Layer
    call: int | None = None


@dataclass(frozen=True)
class Scene:
    """A model inside one trace. Arguments and results of the kinds of work are structures of tensors, batch first.

    A point is what the model is looked at: its inputs, or with taps the output of the tapped layers. One layer that is
    called once gives a tensor; one that is called several times a list, in the order of the calls; several layers a
    tuple of these.

    Attributes:
        model: what runs.
        taps: what is tapped; empty for the inputs.
        output: "model", "logits" or "probabilities".
        selections: what is scored; classes and weights come as tensors in `values`, functions are held here.
        amendment: None, or a function from the model to a context manager, inside which the model runs: it may change
            how layers compute, and has to restore them.
    """

    model: keras.Model
    taps: tuple[Tap, ...]
    output: str
    selections: tuple[Selection, ...]
    amendment: Callable[[keras.Model], contextlib.AbstractContextManager] | None = None

    def forward(self, values: list, inputs: Any) -> tuple[Any, Any]:
        """Outputs and scores."""
        outputs = self.run(inputs)
        return outputs, self.score(values, outputs)

    def read(self, inputs: Any) -> Any:
        """The point of the tapped layers."""
        return _float32(self.tapped(inputs, lambda place, result: result)[1])

    def forward_from(self, values: list, inputs: Any, point: Any) -> Any:
        """Scores when the tapped layers return `point`."""
        return self.score(values, self.tapped(inputs, self._put(point))[0])

    def gradient(self, values: list, inputs: Any) -> tuple[Any, Any, Any, Any]:
        """Point, gradient there, outputs and scores."""

        def run(watch: Callable[[Any], Any]) -> tuple[Any, Any]:
            if self.taps:
                outputs, point = self.tapped(inputs, lambda place, result: watch(result))
            else:
                point = keras.tree.map_structure(lambda leaf: watch(leaf) if is_float(leaf) else leaf, inputs)
                outputs = self.run(point)
            scores = self.score(values, outputs)
            return scores, (point, outputs, scores)

        found, (point, outputs, scores) = backend.engine().differentiate(run)
        return _float32(point), self._filled(found, point), outputs, scores

    def gradient_at(self, values: list, inputs: Any, point: Any) -> Any:
        """Gradient at a point that takes the place of the inputs or of what the tapped layers return."""

        def run(watch: Callable[[Any], Any]) -> tuple[Any, Any]:
            watched = keras.tree.map_structure(watch, point)
            outputs = self.tapped(inputs, self._put(watched))[0] if self.taps else self.run(watched)
            return self.score(values, outputs), None

        return self._filled(backend.engine().differentiate(run)[0], point)

    def run(self, inputs: Any) -> Any:
        """Outputs of the amended model, float32, as `output` means them."""
        amended = contextlib.nullcontext() if self.amendment is None else self.amendment(self.model)
        with amended, backend.engine().following(self.model, self.output) as choose:
            outputs = self.model(inputs, training=False)
            return _float32(keras.tree.map_structure(choose, outputs))

    def _put(self, point: Any) -> Callable[[tuple[int, int], Any], Any]:
        """What puts the parts of `point` in their places: (tap, call)."""
        parts = point if len(self.taps) > 1 else (point,)

        def change(place: tuple[int, int], result: Any) -> Any:
            part = parts[place[0]]
            return ops.cast(part[place[1]] if isinstance(part, list) else part, result.dtype)

        return change

    def tapped(self, inputs: Any, change: Callable[[tuple[int, int], Any], Any]) -> tuple[Any, Any]:
        """Outputs and point, after what each tapped layer returns has passed through `change((tap, call), result)`."""
        engine = backend.engine()
        here = engine.trace()
        seen: list[list] = [[] for _ in self.taps]

        def keep(index: int, wanted: int | None) -> Callable[[Any], Any]:
            calls = [0]

            def tapped(result: Any) -> Any:
                calls[0] += 1
                if wanted not in (None, calls[0] - 1):
                    return result
                # Errors raised here would be wrapped by Keras, so they are raised after the pass.
                usable = engine.belongs(result, here) and is_float(result)
                seen[index].append(change((index, len(seen[index])), result) if usable else result)
                return seen[index][-1]

            return tapped

        with contextlib.ExitStack() as stack:
            for index, one in enumerate(self.taps):
                stack.enter_context(tap.tap(one.layer, keep(index, one.call)))
            outputs = self.run(inputs)
        point = tuple(self._checked(one, found, here) for one, found in zip(self.taps, seen, strict=True))
        return outputs, point if len(point) > 1 else point[0]

    def _checked(self, one: Tap, found: list, here: Any) -> Any:
        engine, name = backend.engine(), one.layer.name
        if not found:
            times = "must be called when the model runs" if one.call is None else f"must be called {one.call + 1} times"
            raise _refuse_layer(f"{times}; {name!r} is not")
        for result in found:
            if not engine.is_tensor(result):
                raise _refuse_layer(f"must return one tensor; {name!r} returns {type(result).__name__}")
            if not is_float(result):
                dtype = keras.backend.standardize_dtype(result.dtype)
                raise _refuse_layer(f"must return floats; {name!r} returns {dtype}")
            if not engine.belongs(result, here):
                raise _refuse_layer(f"must not run inside a loop of another layer; {name!r} does")
        return found[0] if len(found) == 1 else found

    def score(self, values: list, outputs: Any) -> Any:
        """The selected scalars (N,)."""
        tensors = iter(values)
        stand_ins = [
            part.value if part.kind == "function" else None if part.kind == "predicted" else next(tensors)
            for part in self.selections
        ]
        return target.score(self.selections, stand_ins, outputs)

    def _filled(self, found: list, point: Any) -> Any:
        """Gradients in the structure of `point`, zeros where nothing flows to an input, or where it has no gradient."""
        if self.taps and all(gradient is None for gradient in found):
            names = ", ".join(repr(one.layer.name) for one in self.taps)
            raise _refuse_layer(f"must lead to the target by differentiable steps; nothing flows back to {names}")
        rest = iter(found)
        leaves = []
        for leaf in keras.tree.flatten(point):
            gradient = next(rest) if is_float(leaf) else None
            leaves.append(ops.zeros(ops.shape(leaf), "float32") if gradient is None else gradient)
        return _float32(keras.tree.pack_sequence_as(point, leaves) if keras.tree.is_nested(point) else leaves[0])


def is_float(tensor: Any) -> bool:
    """Whether something is a tensor of floats.

    >>> is_float(np.ones(2)), is_float(np.ones(2, int)), is_float(None)
    (True, False, False)
    """
    return hasattr(tensor, "dtype") and keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype))


def _float32(tensors: Any) -> Any:
    return keras.tree.map_structure(lambda leaf: ops.cast(leaf, "float32") if is_float(leaf) else leaf, tensors)


def _refuse_layer(rule: str) -> ValueError:
    return ValueError(f"layer {rule}. Choose another layer; model.summary(expand_nested=True) lists them.")


@dataclass(frozen=True)
class Variation:
    """Scores of inputs that are changed on the device.

    Args:
        change: hashable function from inputs and further tensors, batch first, to the inputs that the model gets.
    """

    change: Callable

    def __call__(self, scene: Scene, rows: Any, arguments: Any, block: list) -> Any:
        """Scores (P,) of P changed samples: `rows` (P,) of a block, which is [values of the target, inputs]."""
        values, inputs = keras.tree.map_structure(lambda leaf: ops.take(leaf, rows, axis=0), block)
        return scene.forward(values, self.change(inputs, *arguments))[1]


@dataclass(frozen=True)
class Accumulation:
    """One step of a sum of gradients, taken where and weighted as a rule says.

    Args:
        rule: hashable, with the functions `at(batched, step)`, the point where the gradient is taken, and
            `add(total, gradient, batched, step)`, the sum after this step; all arguments are tensors.
    """

    rule: Any

    def __call__(self, scene: Scene, values: list, inputs: Any, batched: Any, total: Any, step: Any) -> Any:
        """The sum after one step."""
        gradient = scene.gradient_at(values, inputs, self.rule.at(batched, step))
        return self.rule.add(total, gradient, batched, step)
