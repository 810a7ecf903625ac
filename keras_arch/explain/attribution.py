"""What a method of explaining returns: numbers in the structure of the input."""

import dataclasses
import json
import os
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_arch.core import check, optional

_FORMAT = 1


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """How much each part of each input says for the target: raw float32 numbers, batch axis first.

    delta = Σ values - (F(x) - F(baseline)) per sample, for methods that promise completeness.
    F: the score, the selected scalar.   x: the inputs.   N: samples.

    Args:
        values: in the inputs' own structure and shapes; for a method at a layer, of that layer's output; for a class
            activation map, of the input's spatial size with a channel axis of one.
        inputs: what was explained.
        target: what it was explained for: class indices (N,) or indices (N, axes), weights, the name of a function,
            or a dict of these for several outputs.
        predictions: the model's outputs for the inputs, in its own structure.
        scores: (N,) F(x).
        method: the method, or None.
        baseline: where a path method started, else None.
        baseline_scores: (N,) F(baseline), else None.
        convergence_delta: (N,) delta, else None.
        layer: path of the layer that a method looked at, else None.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 3.0], [2.0, 2.0]])
    >>> attribution
    Attribution(IntegratedGradients(), 2 samples, values (2, 2), completeness error ...)
    >>> len(attribution[0]), attribution[0].scores.tolist()
    (1, [4.0])
    """

    values: Any
    inputs: Any
    target: Any
    predictions: Any
    scores: np.ndarray
    method: Any = None
    baseline: Any = None
    baseline_scores: np.ndarray | None = None
    convergence_delta: np.ndarray | None = None
    layer: str | None = None

    @property
    def completeness_error(self) -> np.ndarray | None:
        """|delta| / max(|F(x) - F(baseline)|, 1e-7) per sample, or None for a method without a delta."""
        if self.convergence_delta is None:
            return None
        change = np.abs(self.scores - self.baseline_scores)
        return np.abs(self.convergence_delta) / np.maximum(change, 1e-7)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, key: Any) -> "Attribution":
        """The samples that `key` (an int, slice, or array of either kind) picks; the batch axis stays."""
        if isinstance(key, int | np.integer):
            position = int(key)
            if not -len(self) <= position < len(self):
                raise IndexError(f"sample {position} is out of range: there are {len(self)}.")
            key = slice(position, position + 1 or None)

        def pick(leaf: Any) -> Any:
            return leaf[key] if isinstance(leaf, np.ndarray) else leaf

        kept = ("method", "layer")
        parts = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in kept}
        return dataclasses.replace(self, **{name: _map(pick, part) for name, part in parts.items()})

    def __repr__(self) -> str:
        shapes = [str(leaf.shape) for leaf in keras.tree.flatten(self.values)]
        parts = [repr(self.method), f"{len(self)} samples", f"values {', '.join(shapes)}"]
        if self.layer is not None:
            parts.append(f"layer {self.layer!r}")
        if self.convergence_delta is not None:
            parts.append(f"completeness error {self.completeness_error.max():.1e}")
        return f"Attribution({', '.join(parts)})"

    def plot(self, **options: Any) -> Any:
        """Draw the samples, as `keras_arch.plots.gallery` does with the same options; returns a matplotlib Figure."""
        return optional.room("plots").gallery(self, **options)

    def save(self, path: str | os.PathLike) -> None:
        """Write a picture (".png", ".pdf", ".svg") or all numbers (".npz", without pickle; `load` reads them).

        Raises:
            ValueError: for another ending.
        """
        ending = os.path.splitext(os.fspath(path))[1].lower()
        if ending in (".png", ".pdf", ".svg"):
            self.plot().savefig(path)
        elif ending == ".npz":
            arrays: dict[str, np.ndarray] = {}
            header = {f.name: _pack(getattr(self, f.name), arrays) for f in dataclasses.fields(self)}
            header["method"] = keras.saving.serialize_keras_object(self.method)
            text = json.dumps({"format": _FORMAT, **header}).encode()
            np.savez(path, header=np.frombuffer(text, "uint8"), **arrays)
        else:
            raise check.refuse("path", "must end in .npz, .png, .pdf or .svg", os.fspath(path), "Choose one of these.")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Attribution":
        """Read what `save("….npz")` wrote.

        Raises:
            ValueError: if the file holds no attribution, or one of a later format.
        """
        with np.load(path, allow_pickle=False) as stored:
            if "header" not in stored:
                raise check.refuse("path", "must be a file of Attribution.save", os.fspath(path), "Save one first.")
            header = json.loads(stored["header"].tobytes())
            if header.pop("format") > _FORMAT:
                advice = "Update keras-arch to read it."
                raise check.refuse("path", f"must hold format {_FORMAT} or older", os.fspath(path), advice)
            method = header.pop("method")
            fields = {name: _unpack(part, stored) for name, part in header.items()}
        return cls(**fields, method=keras.saving.deserialize_keras_object(method))


def _map(function: Any, tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _map(function, part) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_map(function, part) for part in tree)
    return function(tree)


def _pack(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The structure as JSON, its arrays moved to `arrays`."""
    if isinstance(tree, dict):
        return {"dict": [[key, _pack(part, arrays)] for key, part in tree.items()]}
    if isinstance(tree, list | tuple):
        return {type(tree).__name__: [_pack(part, arrays) for part in tree]}
    if isinstance(tree, np.ndarray):
        name = f"array_{len(arrays)}"
        arrays[name] = tree
        return {"array": name}
    return {"plain": tree if isinstance(tree, str | int | float | bool | None) else None}


def _unpack(packed: dict[str, Any], stored: Any) -> Any:
    ((kind, content),) = packed.items()
    if kind == "dict":
        return {key: _unpack(part, stored) for key, part in content}
    if kind in ("list", "tuple"):
        parts = [_unpack(part, stored) for part in content]
        return tuple(parts) if kind == "tuple" else parts
    return stored[content] if kind == "array" else content
