"""What the rollouts of attention share: which layers, which row of their product, and where it lies in the input."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.explain import backend, target
from keras_arch.explain.attention import rollout
from keras_arch.explain.attention.attention_maps import layer_paths
from keras_arch.explain.attention.token_places import TokenPlaces, token_places
from keras_arch.explain.attention.weights import Seen, attention_layers, by_call, chosen, laid_out, shown
from keras_arch.explain.method import Method, warn_if_flat
from keras_arch.explain.scene import Scene
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe

QUERIES = ("auto", "mean")


@dataclass(frozen=True, eq=False, repr=False)
class RolloutMethod(Method):
    """Base of `AttentionRollout` and `GradientAttentionRollout`, which say what these settings mean.

    >>> RolloutMethod(query="mean", grid=[4, 4])
    RolloutMethod(query='mean', grid=(4, 4))
    """

    layers: Any = None
    query: Any = "auto"
    grid: Any = None
    prefix_tokens: int | None = None
    interpolation: str | None = "linear"

    def __post_init__(self) -> None:
        if not isinstance(self.query, int | np.integer) or isinstance(self.query, bool):
            check.one_of("query", self.query, QUERIES)
        if self.grid is not None:
            sides = self.grid if isinstance(self.grid, tuple | list) else (self.grid,)
            object.__setattr__(self, "grid", tuple(check.integer("grid", side) for side in sides))
        if self.prefix_tokens is not None:
            check.integer("prefix_tokens", self.prefix_tokens, minimum=0)
        if self.interpolation is not None:
            check.one_of("interpolation", self.interpolation, ("linear", "nearest"))

    def rule(self) -> Any:
        """What is done with the weights of a layer, a hashable value; for subclasses to define.

        It has `needs_gradients`, and `matrices(weights, gradients, pools)` from lists of (B, N, T, S) to a list of
        (B, T, S); `pools` says whether the last layer is an attention pooling.
        """
        raise NotImplementedError(f"{type(self).__module__}.{type(self).__qualname__} must define rule().")

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        attention_layers(probe.model)  # a model without any is refused before it is compiled
        query = self.query if isinstance(self.query, str) else int(self.query)
        rule = self.rule()
        work = Rollout(rule, layer_paths(probe.model, self.layers), query, self.grid, self.prefix_tokens)
        parts = [results for _, results in probe.each(work, selections, inputs)]
        arrays = [keras.tree.map_structure(backend.engine().array, part) for part in parts]
        predictions, scores, values, steepest = keras.tree.map_structure(lambda *some: np.concatenate(some), *arrays)
        if rule.needs_gradients:
            warn_if_flat(steepest, "the attention weights")
        places = token_places(probe.model, inputs, values.shape[1], self.grid, self.prefix_tokens)
        return {
            "values": places.spread(values, self.interpolation),
            "target": target.record(target.settle(selections, predictions)),
            "predictions": predictions,
            "scores": scores,
        }


@dataclass(frozen=True)
class Rollout:
    """Work on a scene: what each token gives to one row of the product of all layers.

    Args:
        rule: see `RolloutMethod.rule`.
        layers: see `weights.chosen`.
        query: "auto", "mean", or the number of a token.
        grid: see `token_places`.
        prefix: likewise.
    """

    rule: Any
    layers: tuple[str, ...] | None
    query: Any
    grid: tuple[int, ...] | None
    prefix: int | None

    def __call__(self, scene: Scene, values: list, inputs: Any) -> tuple[Any, Any, Any, Any]:
        """(outputs, scores, values of the tokens (B, T), the steepest gradient of each sample (B,))."""
        calls: list[Seen] = []

        def run(watch: Callable[[Any], Any] | None) -> tuple[Any, Any]:
            with shown(scene.model, watch) as seen:
                outputs, scores = scene.forward(values, inputs)
            calls[:] = seen
            return scores, (outputs, scores, [one.weights for one in seen])

        found: list = []
        if self.rule.needs_gradients:
            found, (outputs, scores, weights) = backend.engine().differentiate(run)
        else:
            _, (outputs, scores, weights) = run(None)
        batch = keras.tree.flatten(inputs)[0].shape[0]
        numbers = {name: number for number, name in enumerate(by_call(calls))}
        picked = chosen(by_call(calls), self.layers)
        layers = {name: laid_out(weights[numbers[name]], batch) for name in picked}
        pools = self._check(layers, picked)
        gradients = [found[numbers[name]] for name in picked] if found else []
        if gradients and all(one is None for one in gradients):
            raise ValueError(
                f"layers must lead to the target by differentiable steps; nothing flows back to {', '.join(picked)}. "
                "Choose other layers, or another target."
            )
        stacked = [
            ops.zeros_like(one) if gradient is None else laid_out(gradient, batch)
            for one, gradient in zip(layers.values(), gradients, strict=False)
        ]
        matrices = self.rule.matrices(list(layers.values()), stacked, pools)
        places = token_places(scene.model, inputs, matrices[0].shape[-1], self.grid, self.prefix)
        sees = ops.any(list(layers.values())[-1] > 0, axis=(1, 3))  # (B, T)
        row = rollout.start(sees, self._row(places, pools, sees.shape[-1]))
        result = rollout.carried_back(row, matrices)
        if self.rule.needs_gradients and not pools:
            result = result - row[:, 0]
        steepest = [ops.max(ops.abs(one), axis=(1, 2, 3)) for one in stacked]
        return outputs, scores, result, ops.max(ops.stack(steepest), axis=0) if steepest else ops.zeros_like(scores)

    def _check(self, layers: dict[str, Any], picked: dict[str, Seen]) -> bool:
        """Whether the last layer pools; raises where the layers are not those of one stack."""
        shapes = {name: tuple(weights.shape) for name, weights in layers.items()}
        lengths = [shape[-2:] for shape in shapes.values()]
        shown_shapes = ", ".join(f"{name} {shape[-2:]}" for name, shape in shapes.items())
        if any(None in pair for pair in lengths) or any(len(shape) != 4 for shape in shapes.values()):
            raise ValueError(
                "layers must attend over one sequence of known length per sample, not over windows or several axes; "
                f"received {shown_shapes}. Name others with layers=, or look at attention_maps(model, x)."
            )
        tokens = lengths[0][1]
        pools = lengths[-1][0] != tokens and lengths[-1][1] == tokens
        stack = lengths[:-1] if pools else lengths
        crosses = [] if self.layers else [name for name in list(picked)[: len(stack)] if not picked[name].is_self]
        if crosses or any(pair != (tokens, tokens) for pair in stack):
            culprits = f"; {', '.join(crosses)} attends from one sequence to another" if crosses else ""
            raise ValueError(
                "layers must be the self-attention of one stack, in which every layer has the same queries and keys, "
                f"and at most a pooling at the end; received (queries, keys) {shown_shapes}{culprits}. Name those of "
                "one stack, such as layers='encoder'."
            )
        return pools

    def _row(self, places: TokenPlaces, pools: bool, count: int) -> int | None:
        if self.query == "mean" or (self.query == "auto" and (pools or not places.prefix)):
            return None
        number = 0 if self.query == "auto" else self.query
        if not -count <= number < count:
            advice = f"There are {count}; or pass query='mean'."
            raise check.refuse("query", f"must be the number of a token, below {count}", number, advice)
        return number % count
