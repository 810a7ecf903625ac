"""A model seen from one point: scores, gradients and sums of gradients of any number of samples, in chunks."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.explain import backend, programs
from keras_arch.explain.scene import Accumulation, Scene, Tap, Variation
from keras_arch.explain.survey import Survey
from keras_arch.explain.target import Selection

OUTPUTS = ("model", "logits", "probabilities")


@dataclass(frozen=True)
class Chunk:
    """Results for some consecutive samples, still on the device, without padding.

    Attributes:
        rows: which samples.
        point: what the gradient is taken at: the inputs, or what the tapped layers return; float32 where it is floats.
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
    """A model seen from one point: its inputs, or the output of layers that are tapped.

    A layer that the model calls several times gives a list of points, one per call; several layers a tuple.

    Args:
        model: any Keras model.
        taps: where gradients are taken and values replaced; none for the inputs.
        output: "model", the numbers the model returns; "logits", those before its final softmax or sigmoid;
            "probabilities", those after it.
        batch_size: samples per compiled call. Fewer samples are padded to a power of two.
        verbose: whether long work shows a progress bar.
        jit_compile: whether XLA compiles the calls. JAX always does, PyTorch never.
        amendment: None, or a hashable function from the model to a context manager, inside which the model runs.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> x, probe = np.ones((3, 2), "float32"), Probe(model)
    >>> outputs, scores = probe.predict(x, ka.explain.target.select(0, probe.survey(x).outputs, samples=3))
    >>> scores.tolist()
    [2.0, 2.0, 2.0]
    """

    model: keras.Model
    taps: tuple[Tap, ...] = ()
    output: str = "model"
    batch_size: int = 32
    verbose: bool = False
    jit_compile: bool = False
    amendment: Callable[[keras.Model], contextlib.AbstractContextManager] | None = None

    def __post_init__(self) -> None:
        check.one_of("output", self.output, OUTPUTS)
        check.integer("batch_size", self.batch_size)

    def at(self, *layers: keras.Layer | Tap) -> "Probe":
        """The same model seen from the output of these layers; without any, from its inputs."""
        return replace(self, taps=tuple(one if isinstance(one, Tap) else Tap(one) for one in layers))

    def amended(self, amendment: Callable[[keras.Model], contextlib.AbstractContextManager]) -> "Probe":
        """The same model, run inside the context manager that `amendment` makes for it."""
        return replace(self, amendment=amendment)

    def survey(self, inputs: Any) -> Survey:
        """Structure of the outputs and order of the layers, from one forward pass of one sample, remembered."""
        one = keras.tree.map_structure(lambda leaf: backend.engine().tensor(leaf[:1]), inputs)
        return programs.survey(self.model, one)

    def predict(self, inputs: Any, selections: tuple[Selection, ...]) -> tuple[Any, np.ndarray]:
        """Outputs in the model's structure and scores (N,), float32 arrays."""
        return _join(results for _, results in self.each(Scene.forward, selections, inputs))

    def values(self, inputs: Any) -> Any:
        """The point of each sample: what the tapped layers return, as float32 arrays."""
        return _join(results for _, results in self.each(Scene.read, None, inputs))

    def replaced(self, inputs: Any, point: Any, selections: tuple[Selection, ...]) -> np.ndarray:
        """Scores (N,) when the tapped layers return `point`, a float32 array."""
        return _join(results for _, results in self.each(Scene.forward_from, selections, inputs, point))

    def gradients(self, inputs: Any, selections: tuple[Selection, ...]) -> Iterator[Chunk]:
        """Gradients of the scores at the point, chunk by chunk: memory does not grow with the samples."""
        for rows, results in self.each(Scene.gradient, selections, inputs):
            yield Chunk(rows, *results)

    def variants(
        self,
        inputs: Any,
        selections: tuple[Selection, ...],
        change: Callable,
        count: int,
        arguments: Callable[[np.ndarray, np.ndarray], tuple],
    ) -> np.ndarray:
        """Scores of `count` changed versions of each sample, all in chunks of `batch_size`.

        Args:
            inputs: N samples.
            selections: what is scored, checked for N samples.
            change: hashable function `(inputs, *arguments) -> inputs` of tensors, batch first; it is compiled with the
                model and may read nothing else.
            count: K, versions of each sample.
            arguments: function from the numbers of samples (P,) and of versions (P,), int arrays, to a tuple of
                arrays, or structures of arrays, with P rows each.
        Returns:
            float32 array (N, K).
        """
        engine, samples = backend.engine(), _samples(inputs)
        most = self._size(samples)
        blocks = [slice(first, min(first + most, samples)) for first in range(0, samples, most)]
        advance = self._progress(
            sum(-(-_length(block) * count // self._size(_length(block) * count)) for block in blocks)
        )
        found = np.empty((samples, count), "float32")
        for block, (_, kept) in zip(blocks, self._chunks(samples, [_values(selections), inputs]), strict=True):
            pairs = _length(block) * count
            size, scores = self._size(pairs), np.empty(pairs, "float32")
            for first in range(0, pairs, size):
                rows, versions = np.divmod(np.minimum(np.arange(first, first + size), pairs - 1), count)
                arrays = (rows.astype("int32"), tuple(arguments(block.start + rows, versions)))
                batched = keras.tree.map_structure(engine.tensor, arrays)
                chunk = self._program(Variation(change), selections, batched, (kept,))(batched, (kept,))
                stop = min(first + size, pairs)
                scores[first:stop] = engine.array(chunk)[: stop - first]
                advance()
            found[block] = scores.reshape(-1, count)
        return found

    def accumulate(
        self,
        rule: Any,
        inputs: Any,
        selections: tuple[Selection, ...],
        batched: Any,
        total: Any,
        steps: Collection[tuple],
    ) -> Any:
        """Sum gradients over steps: memory does not grow with the steps.

        Args:
            rule: a hashable object with two functions of tensors: `at(batched, step)`, the point where the gradient is
                taken, and `add(total, gradient, batched, step)`, the sum after the step.
            inputs: what the model is called with where layers are tapped; not read otherwise.
            selections: what is differentiated.
            batched: structure of arrays with N rows, for the rule.
            total: structure of arrays with N rows, where the sum begins.
            steps: for each step a tuple of arrays or structures of arrays without a batch axis, of the same shapes in
                all steps; it is gone through once for every chunk.
        Returns:
            float32 arrays in the structure of `total`.
        """
        engine = backend.engine()
        samples = _samples(total)
        advance = self._progress(-(-samples // self._size(samples)) * len(steps))
        values = _values(selections)
        read = inputs if self.taps else ()
        parts = []
        for rows, chunk in self._chunks(samples, [values, read, batched, total]):
            *fixed, sums = chunk
            program = None
            for step in steps:
                shared = (keras.tree.map_structure(lambda leaf: engine.tensor(np.asarray(leaf, "float32")), step),)
                program = program or self._program(Accumulation(rule), selections, (*fixed, sums), shared)
                sums = program((*fixed, sums), shared)
                advance()
            parts.append(_cut(sums, rows))
        return _join(parts)

    def each(
        self, kind: Callable, selections: tuple[Selection, ...] | None, *trees: Any
    ) -> Iterator[tuple[slice, Any]]:
        """Do one kind of work chunk by chunk.

        Args:
            kind: a hashable function `(scene, values, *trees)` of tensors, or without values if there is no selection.
            selections: what is scored; None where nothing is.
            trees: structures of arrays with N rows.
        Yields:
            Which rows, and the results for them, still on the device.
        """
        samples = _samples(trees)
        advance = self._progress(-(-samples // self._size(samples)))
        first = () if selections is None else (_values(selections),)
        for rows, chunk in self._chunks(samples, [*first, *trees]):
            batched = tuple(chunk)
            yield rows, _cut(self._program(kind, selections or (), batched)(batched, ()), rows)
            advance()

    def _size(self, samples: int) -> int:
        count = backend.engine().replicas(self.model)
        size = min(1 << (samples - 1).bit_length(), self.batch_size)
        return -(-size // count) * count

    def _chunks(self, samples: int, trees: list) -> Iterator[tuple[slice, list]]:
        """Slices of equal length, the last one filled up with its last sample, as tensors."""
        size = self._size(samples)
        for first in range(0, samples, size):
            rows: Any = slice(first, first + size)
            if rows.stop > samples:
                rows = np.minimum(np.arange(first, first + size), samples - 1)
            chunk = keras.tree.map_structure(lambda leaf, rows=rows: backend.engine().tensor(leaf[rows]), trees)
            yield slice(first, min(first + size, samples)), chunk

    def _program(
        self, kind: Callable, selections: tuple[Selection, ...], batched: tuple, shared: tuple = ()
    ) -> Callable:
        scene = Scene(self.model, self.taps, self.output, selections, self.amendment)
        return programs.program(kind, scene, batched, shared, jit_compile=self.jit_compile)

    def _progress(self, units: int) -> Callable[[], None]:
        if not self.verbose or units < 2:
            return lambda: None
        bar = keras.utils.Progbar(units)
        return lambda: bar.add(1)


def _values(selections: tuple[Selection, ...]) -> list:
    return [part.value for part in selections if part.kind in ("index", "weights", "measure")]


def _length(rows: slice) -> int:
    return rows.stop - rows.start


def _samples(trees: Any) -> int:
    return keras.tree.flatten(trees)[0].shape[0]


def _cut(results: Any, rows: slice) -> Any:
    count = _length(rows)
    return keras.tree.map_structure(lambda tensor: tensor if tensor.shape[0] == count else tensor[:count], results)


def _join(parts: Any) -> Any:
    arrays = [keras.tree.map_structure(backend.engine().array, part) for part in parts]
    return keras.tree.map_structure(lambda *leaves: np.concatenate(leaves), *arrays)
