"""Cascading randomization: whether an explanation depends on what the model has learned."""

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np

from keras_arch.core import check, walk
from keras_arch.core.registration import register
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.metrics.measurement import Measurement
from keras_arch.explain.metrics.metric import Metric
from keras_arch.explain.metrics.positions import channel_axis
from keras_arch.explain.metrics.rank_correlation import rank_correlation
from keras_arch.explain.metrics.redraw import redraw, stages
from keras_arch.explain.metrics.structural_similarity import structural_similarity
from keras_arch.explain.metrics.subject import Subject
from keras_arch.explain.metrics.twin import Twin

SIMILARITIES = ("rank", "ssim")


@register
@dataclass(frozen=True, eq=False, repr=False)
class Randomization(Metric):
    """Similarity of an attribution to those of the model with its layers drawn anew, from the output down.

    value = mean over k >= 1 of similarity(a₀, aₖ)
    aₖ: the attribution of the model with new weights in its last k layers, for the target of the model as it is.

    Lower is better: an explanation that stays the same shows the picture, not the model. Between -1 and 1. The curves
    begin before any layer is drawn: at 1 for a method that gives the same for the same.

    The new weights come from each layer's own initializer with other seeds; a weight for which the layer names none is
    shuffled. Layers that were adapted to data (`keras.layers.Normalization`) stay. The model itself is not touched: the
    new weights are lent to its layers for the calls made here, so that other threads may go on using it.

    Args:
        similarity: "rank", Spearman's correlation over all numbers of a sample, or "ssim", the structural similarity of
            maps with two axes of positions, their channels summed.
        absolute: whether the size of attributions is compared, without their signs.
        layers: names or paths of the layers that are drawn; None draws all, and explains once for each.
        seed: of the new weights, >= 0.
    Raises:
        ValueError: if a setting breaks its rule, the attribution does not know its method or was made for another
            output or model.
    Source: Adebayo et al. 2018, arXiv:1810.03292, section 3.1. They show one figure for each layer; the mean over the
    layers is that of Quantus.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh", name="hidden"),
    ...                           keras.layers.Dense(3, name="head")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 2.0, 3.0, 4.0]])
    >>> measurement = Randomization().measure(model, attribution)
    >>> measurement.stages, measurement.curves.shape
    (('nothing', 'head', 'hidden'), (1, 3))
    """

    direction: ClassVar[str] = "lower"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    similarity: str = "rank"
    absolute: bool = True
    layers: Any = None
    seed: int = 0

    def __post_init__(self) -> None:
        check.one_of("similarity", self.similarity, SIMILARITIES)
        check.integer("seed", self.seed, minimum=0)
        if not isinstance(self.absolute, bool):
            raise check.refuse("absolute", "must be a bool", self.absolute, "Pass True or False.")
        if self.layers is not None and (not isinstance(self.layers, list | tuple) or not self.layers):
            advice = "Pass a list of names, or None for all."
            raise check.refuse("layers", "must be one or more layers", self.layers, advice)

    def compute(self, subject: Subject) -> dict[str, Any]:
        """See `Metric.compute`."""
        method = subject.method
        original = self._comparable(subject.values)
        twin = Twin(subject.model)
        chosen = self._chosen(subject)
        bar = keras.utils.Progbar(len(chosen) + 1, verbose=int(subject.verbose))
        compare = structural_similarity if self.similarity == "ssim" else rank_correlation
        columns = []
        for number, (_, weights) in enumerate([("nothing", []), *chosen]):
            for place, (layer, weight) in enumerate(weights):
                redraw(layer, twin.weight_of(weight), np.random.default_rng([self.seed, number, place]))
            again = subject.explain_again(twin, method, subject.inputs, np.arange(subject.samples))
            now = self._comparable([np.asarray(leaf) for leaf in keras.tree.flatten(again.values)])
            columns.append(compare(original, now))
            bar.add(1)
        curves = np.stack(columns, axis=1).astype("float32")
        return {
            "values": curves[:, 1:].mean(axis=1),
            "curves": curves,
            "fractions": np.linspace(0, 1, len(columns)).astype("float32"),
            "stages": ("nothing", *(path for path, _ in chosen)),
        }

    def _chosen(self, subject: Subject) -> list:
        found = stages(subject.model, subject.probe.survey(subject.inputs))
        if self.layers is None:
            if not found:
                advice = "Explain a model with layers that learn."
                raise check.refuse("model", "must have float weights to draw anew", subject.model, advice)
            return found
        kept = set()
        for layer in self.layers:
            _, inside = walk.locate(subject.model, layer, "layers")
            below = {path for path, _ in found if f"{path}/".startswith(f"{inside}/")}
            if not below:
                advice = f"Those with weights are: {', '.join(path for path, _ in found)}."
                raise check.refuse("layers", "must have float weights", layer, advice)
            kept |= below
        return [(path, weights) for path, weights in found if path in kept]

    def _comparable(self, leaves: list[np.ndarray]) -> np.ndarray:
        """(N, D) for ranks, (N, H, W) for structure."""
        if self.absolute:
            leaves = [np.abs(leaf) for leaf in leaves]
        if self.similarity == "rank":
            return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)
        if len(leaves) != 1 or leaves[0].ndim != 4:
            raise ValueError(
                f"similarity must be 'rank' for attributions without two axes of positions and one of channels; "
                f"received similarity='ssim' and values of shapes {[leaf.shape for leaf in leaves]}. Pass "
                "similarity='rank'."
            )
        return leaves[0].sum(channel_axis(4))


def randomization(
    model: Any,
    attribution: Attribution,
    *,
    similarity: str = "rank",
    absolute: bool = True,
    layers: Any = None,
    seed: int = 0,
    **options: Any,
) -> Measurement:
    """Measure whether an explanation depends on what the model has learned: `Randomization` at one call.

    Args:
        model: the Keras model that was explained; it is not touched.
        attribution: what a method returned; it is asked again for each layer.
        similarity: see `Randomization`, as for the next three.
        absolute: whether the size of attributions is compared.
        layers: those that are drawn.
        seed: of the new weights.
        **options: target, output, batch_size and verbose of `Metric.measure`.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 2.0, 3.0, 4.0]])
    >>> ka.explain.metrics.randomization(model, attribution).stages
    ('nothing', 'head')
    """
    return Randomization(similarity, absolute, layers, seed).measure(model, attribution, **options)
