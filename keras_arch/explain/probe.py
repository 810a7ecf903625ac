"""A model seen from one point: scores, gradients and path integrals of any number of samples, in chunks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.explain import engine
from keras_arch.explain.engine import Scene
from keras_arch.explain.survey import Survey
from keras_arch.explain.target import Selection

OUTPUTS = ("model", "logits", "probabilities")


@dataclass(frozen=True)
class Chunk:
    """Results for some consecutive samples, still on the device, without padding.

    Attributes:
        rows: which samples.
        point: what the gradient is taken at: the inputs, or the tapped layer's output; float32.
        gradient: of the scores, in the structure of `point`, float32.
        outputs: the model's outputs, float32.
        scores: (rows,) the selected scalars, float32.
    """

    rows: slice
    point: Any
    gradient: Any
    outputs: Any
    scores: Any


@dataclass(frozen=True, eq=False)
class Probe:
    """A model seen from one point, its inputs or the output of one layer.

    Args:
        model: any Keras model on the TensorFlow backend.
        layer: where gradients are taken and values replaced; None for the inputs.
        output: "model", the numbers the model returns; "logits", those before its final softmax or sigmoid;
            "probabilities", those after it.
        batch_size: samples per compiled call. Fewer samples are padded to a power of two.
        verbose: whether long work shows a progress bar.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> x, probe = np.ones((3, 2), "float32"), Probe(model)
    >>> outputs, scores = probe.predict(x, ka.explain.target.select(0, probe.survey(x).outputs, samples=3))
    >>> scores.tolist()
    [2.0, 2.0, 2.0]
    """

    model: keras.Model
    layer: keras.Layer | None = None
    output: str = "model"
    batch_size: int = 32
    verbose: bool = False

    def __post_init__(self) -> None:
        check.one_of("output", self.output, OUTPUTS)
        check.integer("batch_size", self.batch_size)

    def at(self, layer: keras.Layer | None) -> "Probe":
        """The same model seen from another point."""
        return replace(self, layer=layer)

    def survey(self, inputs: Any) -> Survey:
        """Structure of the outputs and order of the layers, from one forward pass of one sample, remembered."""
        return engine.survey(self.model, keras.tree.map_structure(lambda leaf: engine.tensor(leaf[:1]), inputs))

    def predict(self, inputs: Any, selections: tuple[Selection, ...]) -> tuple[Any, np.ndarray]:
        """Outputs in the model's structure and scores (N,), float32 arrays."""
        return _join(results for _, results in self._each(Scene.forward, selections, inputs))

    def values(self, inputs: Any) -> np.ndarray:
        """Output of the tapped layer for each sample, a float32 array."""
        return _join(results for _, results in self._each(Scene.read, (), inputs))

    def replaced(self, inputs: Any, point: np.ndarray, selections: tuple[Selection, ...]) -> np.ndarray:
        """Scores (N,) when the tapped layer returns `point`, a float32 array."""
        return _join(results for _, results in self._each(Scene.forward_from, selections, inputs, point))

    def gradients(self, inputs: Any, selections: tuple[Selection, ...]) -> Iterator[Chunk]:
        """Gradients of the scores at the point, chunk by chunk: memory does not grow with the samples."""
        for rows, results in self._each(Scene.gradient, selections, inputs):
            yield Chunk(rows, *results)

    def path_integral(
        self, inputs: Any, start: Any, stop: Any, nodes: np.ndarray, weights: np.ndarray, selections: tuple
    ) -> Any:
        """Weighted sum of the gradients at start + node · (stop - start): memory does not grow with the nodes.

        Args:
            inputs: what the model is called with where a layer is tapped; not read otherwise.
            start: where the path begins, in the structure of the point.
            stop: where it ends, of the same structure and shapes.
            nodes: positions on the path, 0 at `start` and 1 at `stop`.
            weights: of the gradients at the nodes.
            selections: what is differentiated.
        Returns:
            float32 arrays in the structure of `start`.
        """
        parts = []
        advance = self._progress(-(-_samples(stop) // self._size(stop)) * len(nodes))
        for rows, (values, *point) in self._chunks(selections, () if self.layer is None else inputs, start, stop):
            total = keras.tree.map_structure(keras.ops.zeros_like, point[-1])
            step = None
            for node, weight in zip(nodes, weights, strict=True):
                args = (values, *point, engine.tensor(np.float32(node)), engine.tensor(np.float32(weight)), total)
                step = step or self._program(Scene.path_step, selections, args)
                total = step(*args)
                advance()
            parts.append(_cut(total, rows))
        return _join(parts)

    def _each(self, kind: Callable, selections: tuple[Selection, ...], *trees: Any) -> Iterator[tuple[slice, Any]]:
        advance = self._progress(-(-_samples(trees) // self._size(trees)))
        for rows, (values, *point) in self._chunks(selections, *trees):
            args = (values, *point)
            yield rows, _cut(self._program(kind, selections, args)(*args), rows)
            advance()

    def _size(self, trees: Any) -> int:
        return min(1 << (_samples(trees) - 1).bit_length(), self.batch_size)

    def _chunks(self, selections: tuple[Selection, ...], *trees: Any) -> Iterator[tuple[slice, list]]:
        """Slices of equal length, the last one filled up with its last sample, as tensors."""
        samples, size = _samples(trees), self._size(trees)
        values = [part.value for part in selections if part.kind in ("index", "weights")]
        for first in range(0, samples, size):
            rows: Any = slice(first, first + size)
            if rows.stop > samples:
                rows = np.minimum(np.arange(first, first + size), samples - 1)
            chunk = keras.tree.map_structure(lambda leaf, rows=rows: engine.tensor(leaf[rows]), [values, *trees])
            yield slice(first, min(first + size, samples)), chunk

    def _program(self, kind: Callable, selections: tuple[Selection, ...], args: tuple) -> Callable:
        return engine.program(kind, self.model, self.layer, self.output, selections, args)

    def _progress(self, units: int) -> Callable[[], None]:
        if not self.verbose or units < 2:
            return lambda: None
        bar = keras.utils.Progbar(units)
        return lambda: bar.add(1)


def _samples(trees: Any) -> int:
    return keras.tree.flatten(trees)[0].shape[0]


def _cut(results: Any, rows: slice) -> Any:
    count = rows.stop - rows.start
    return keras.tree.map_structure(lambda tensor: tensor if tensor.shape[0] == count else tensor[:count], results)


def _join(parts: Any) -> Any:
    arrays = [keras.tree.map_structure(lambda tensor: tensor.numpy(), part) for part in parts]
    return keras.tree.map_structure(lambda *leaves: np.concatenate(leaves), *arrays)
