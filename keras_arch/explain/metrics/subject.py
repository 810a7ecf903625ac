"""What a measure looks at: an attribution and the model that it explains, each checked when it is first read."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np

from keras_arch.core.check import describe, refuse
from keras_arch.explain import target as targets
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.method import Method, as_inputs
from keras_arch.explain.probe import Probe
from keras_arch.explain.target import Selection


@dataclass(frozen=True, eq=False)
class Subject:
    """An attribution, its model, and how the model is asked.

    Args:
        model: the model.
        attribution: what is judged.
        target: what is scored; None for what the attribution was made for.
        output: "model", "logits" or "probabilities".
        batch_size: versions of samples per compiled call.
        verbose: whether long work shows a progress bar.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> subject = Subject(model, ka.explain.IntegratedGradients().explain(model, [[1.0, 3.0]]))
    >>> subject.samples, subject.scores.tolist()
    (1, [4.0])
    """

    model: Any
    attribution: Attribution
    target: Any = None
    output: str = "model"
    batch_size: int = 32
    verbose: bool = False

    @cached_property
    def values(self) -> list[np.ndarray]:
        """The attribution's arrays, flattened out of their structure, float32."""
        leaves = [np.asarray(leaf) for leaf in keras.tree.flatten(self.attribution.values)]
        for leaf in leaves:
            if leaf.dtype.kind not in "fiub" or leaf.ndim < 2 or leaf.shape[0] == 0 or leaf[0].size == 0:
                received = f"shape {leaf.shape}, dtype {leaf.dtype}"
                raise ValueError(
                    f"attribution must hold numbers of shape (samples, ...); received values of {received}. "
                    "For one map pass map[None]."
                )
            if not np.isfinite(leaf).all():
                raise ValueError(
                    "attribution must be finite; received values with NaN or infinity. Look for what overflows in the "
                    "model, or drop these samples: attribution[kept]."
                )
        if len({len(leaf) for leaf in leaves}) != 1:
            raise ValueError(
                f"attribution must hold equally many samples in each part; received {[len(leaf) for leaf in leaves]}. "
                "Explain all inputs together."
            )
        return [leaf.astype("float32", copy=False) for leaf in leaves]

    @property
    def samples(self) -> int:
        """N."""
        return len(self.values[0])

    @cached_property
    def flat(self) -> np.ndarray:
        """(N, D) float64, all numbers of each sample in one row."""
        return np.concatenate([leaf.reshape(self.samples, -1) for leaf in self.values], axis=1).astype("float64")

    @cached_property
    def inputs(self) -> Any:
        """What was explained, as arrays in the model's structure; the model itself is not asked."""
        inputs = keras.tree.map_structure(np.asarray, self.attribution.inputs)
        for leaf in keras.tree.flatten(inputs):
            if leaf.dtype.kind not in "fiub" or leaf.ndim == 0 or len(leaf) != self.samples:
                received = f"inputs of shape {leaf.shape}, dtype {leaf.dtype}, and values for {self.samples} samples"
                raise ValueError(
                    f"attribution must hold as many inputs as values; received {received}. "
                    "Build it with the samples that were explained."
                )
        return keras.tree.map_structure(lambda leaf: leaf if leaf.dtype.kind != "f" else leaf.astype("float32"), inputs)

    @cached_property
    def probe(self) -> Probe:
        """The model, seen from its inputs."""
        if not isinstance(self.model, keras.Model):
            raise refuse("model", "must be the keras.Model that was explained", self.model, "Pass it first.")
        try:
            as_inputs(self.model, self.inputs)
        except ValueError as error:
            raise ValueError(
                f"attribution must be of this model, {self.model.name!r}; its inputs do not fit it: {error}"
            ) from None
        return Probe(self.model, output=self.output, batch_size=self.batch_size, verbose=self.verbose)

    @cached_property
    def selections(self) -> tuple[Selection, ...]:
        """What is scored; a class that was predicted is settled."""
        outputs = self.probe.survey(self.inputs).outputs
        target = self.attribution.target if self.target is None else self.target
        try:
            target = _recalled(target, outputs) if self.target is None else target
            selections = targets.select(target, outputs, self.samples)
        except ValueError as error:
            if self.target is not None:
                raise
            raise ValueError(
                f"attribution must tell what it was made for, in terms of this model: {error} "
                "Or pass target= as it was explained."
            ) from None
        if any(part.kind == "predicted" for part in selections):
            selections = targets.settle(selections, self.probe.predict(self.inputs, selections)[0])
        return selections

    @cached_property
    def scores(self) -> np.ndarray:
        """(N,) float32, what the model says about the inputs."""
        return self.probe.predict(self.inputs, self.selections)[1]

    def explain_again(self, model: keras.Model, method: Method, inputs: Any, rows: np.ndarray) -> Attribution:
        """What the method says about other inputs, or of another model, for the same target.

        Args:
            model: what is explained.
            method: what explains.
            inputs: in the model's structure, one for each row.
            rows: which samples they belong to.
        """
        target = target_of(rows_of(self.selections, rows))
        return method.explain(model, inputs, target, output=self.output, batch_size=self.batch_size)

    @property
    def method(self) -> Method:
        """What explained.

        Raises:
            ValueError: if the attribution has none, or was made for other numbers than are scored here.
        """
        method = self.attribution.method
        if not hasattr(method, "explain"):
            advice = "Pass what method.explain(model, x) returned."
            raise refuse("attribution", "must know its method to be explained again", method, advice)
        known = np.asarray(self.attribution.scores, "float32")
        if known.shape != self.scores.shape or not np.allclose(known, self.scores, rtol=1e-2, atol=1e-4):
            raise ValueError(
                f"attribution must be of this model, target and output to be explained again; its scores "
                f"{_shortened(known)} are not the model's {_shortened(self.scores)} with output={self.output!r}. "
                "Pass the output and target that it was made with, or explain anew."
            )
        return method


def rows_of(selections: tuple[Selection, ...], rows: np.ndarray) -> tuple[Selection, ...]:
    """The selections of some of the samples, in any order, also repeatedly.

    >>> rows_of((Selection((), "index", np.array([[3], [5]])),), np.array([1, 1]))[0].value.tolist()
    [[5], [5]]
    """
    return tuple(
        replace(part, value=part.value[rows]) if isinstance(part.value, np.ndarray) else part for part in selections
    )


def target_of(selections: tuple[Selection, ...]) -> Any:
    """Settled selections as a target that `Method.explain` takes.

    >>> target_of((Selection(("cls",), "index", np.array([[3], [5]])),))["cls"].tolist()
    [[3], [5]]
    """
    if selections[0].path == ():
        return _target(selections[0])
    nested: dict = {}
    for part in selections:
        inner = nested
        for key in part.path[:-1]:
            inner = inner.setdefault(key, {})
        inner[part.path[-1]] = _target(part)
    return nested


def _target(part: Selection) -> Any:
    return part.value if part.measure is None else _Measured(part)


@dataclass(frozen=True, eq=False)
class _Measured:
    """A selection with a measure of its own, as a target."""

    part: Selection

    def selection(self, outputs: Any, samples: int, path: tuple) -> Selection:
        """See `keras_arch.explain.target.select`."""
        return replace(self.part, path=path)


def _recalled(recorded: Any, outputs: Any) -> Any:
    """What `Attribution.target` stores, as a target for outputs of this structure."""
    if isinstance(recorded, str):
        raise refuse("target", "must be a function itself, not its name", recorded, "Pass target= with the function.")
    if not isinstance(recorded, dict) or not isinstance(outputs, dict | list | tuple):
        return recorded
    known = dict(_paths(outputs, ()))
    found: dict = {}
    for name, part in recorded.items():
        inner = found
        if name not in known:
            received = f"the outputs {describe(list(recorded))}"
            raise ValueError(
                f"attribution must be of a model with the outputs {list(known)}; it was made for {received}. "
                "Pass the model that it explains, or target=."
            )
        for key in known[name][:-1]:
            inner = inner.setdefault(key, {})
        inner[known[name][-1]] = _recalled(part, None)
    return found


def _paths(outputs: Any, path: tuple) -> list[tuple[str, tuple]]:
    if isinstance(outputs, dict | list | tuple):
        named = outputs.items() if isinstance(outputs, dict) else enumerate(outputs)
        return [found for key, part in named for found in _paths(part, (*path, key))]
    return [("/".join(map(str, path)), path)]


def _shortened(scores: np.ndarray) -> str:
    return np.array2string(scores, precision=4, threshold=4, edgeitems=2)
