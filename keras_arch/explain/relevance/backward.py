"""One pass forward and one back, in which the gradient is relevance."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import ops

from keras_arch.explain import backend
from keras_arch.explain.relevance.composite import Composite
from keras_arch.explain.relevance.ledger import Ledger
from keras_arch.explain.relevance.operations import without_a_rule
from keras_arch.explain.relevance.origin import Origin, bound
from keras_arch.explain.relevance.stage import Stage
from keras_arch.explain.scene import Scene, is_float


@dataclass(frozen=True)
class Backward:
    """A kind of work on a `Scene`: the relevance of its point.

    Args:
        composite: rule of each layer.
        attention: how products of attention share relevance.
        examine: whether to look for operations without a rule in the traced graph, and to raise if there are any;
            only TensorFlow has one.
    """

    composite: Composite
    attention: str
    examine: bool = False

    def __call__(self, scene: Scene, values: list, inputs: Any) -> tuple[Any, Any, Any, Any]:
        """Relevance in the structure of the point, outputs, scores, and the gap (N,).

        gap = |Σ relevance + absorbed - Σ scores| / (Σ |relevance| + |absorbed| + Σ |scores|), over the samples of the
        call, for each of them.
        """
        wanted = self.composite.input if self.composite.input is not None and not scene.taps else None
        direct = wanted is not None and wanted.needs_input

        def run(watch: Callable[[Any], Any]) -> tuple[Any, Any]:
            shares: dict[int, Any] = {}

            def origin(leaf: Any) -> Origin | None:
                if wanted is None or not is_float(leaf):
                    return None
                bounds = {name: bound(leaf, getattr(wanted, name)) for name in ("low", "high") if hasattr(wanted, name)}
                return Origin(leaf, shares.get(id(leaf), ops.ones_like(leaf)), **bounds)

            one = watch(ops.ones((), "float32"))
            spared = tuple(tap.layer for tap in scene.taps)
            stage = Stage(self.composite, self.attention, Ledger(one), scene.output, origin, spared)
            staged = replace(scene, output="model", amendment=stage)
            if scene.taps:
                outputs, point = staged.tapped(inputs, lambda place, result: watch(result))
            else:
                point = keras.tree.map_structure(lambda leaf: watch(leaf) if is_float(leaf) else leaf, inputs)
                if direct:
                    floats = [leaf for leaf in keras.tree.flatten(point) if is_float(leaf)]
                    shares.update({id(leaf): watch(ops.ones_like(leaf)) for leaf in floats})
                outputs = staged.run(point)
                if wanted is not None and not stage.sees_input:
                    raise _unseen(wanted)
            if self.examine:
                without_a_rule(outputs, point)
            scores = staged.score(values, outputs)
            return scores, (point, outputs, scores)

        (absorbed, *found), (point, outputs, scores) = backend.engine().differentiate(run)
        relevance = self._relevance(scene, found, point, direct)
        absorbed = ops.zeros((), "float32") if absorbed is None else absorbed
        leaves = keras.tree.flatten(relevance)
        total = sum(ops.sum(leaf) for leaf in leaves) + absorbed - ops.sum(scores)
        size = sum(ops.sum(ops.abs(leaf)) for leaf in leaves) + ops.abs(absorbed) + ops.sum(ops.abs(scores))
        gap = ops.abs(total) / ops.maximum(size, 1e-30)
        return relevance, outputs, scores, ops.zeros_like(scores) + gap

    def _relevance(self, scene: Scene, found: list, point: Any, direct: bool) -> Any:
        """Point times gradient, and what rules for the input gave."""
        floats = [leaf for leaf in keras.tree.flatten(point) if is_float(leaf)]
        given = iter(found[len(floats) :] if direct else [None] * len(floats))
        gradients = iter(found[: len(floats)])

        def relevance(leaf: Any) -> Any:
            if not is_float(leaf):
                return ops.zeros(ops.shape(leaf), "float32")
            leaf = ops.cast(leaf, "float32")
            parts = [None if (one := next(gradients)) is None else leaf * ops.cast(one, "float32"), next(given)]
            return sum([part for part in parts if part is not None], ops.zeros_like(leaf))

        return keras.tree.map_structure(relevance, point)


def _unseen(rule: Any) -> ValueError:
    return ValueError(
        "input must be a rule for a model whose input goes to a layer with a kernel, with none but layers that move or "
        f"rescale numbers before it; received input={rule!r}, and the model has no such layer. Leave it out, or take a "
        "composite without it."
    )
