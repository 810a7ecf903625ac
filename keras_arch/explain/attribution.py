"""What a method of explaining returns: numbers in the structure of the input."""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_arch.core import check, optional

_FORMAT = 1
_KEPT = ("method", "layer", "output")  # not per sample
_LINEAR = ("values", "scores", "baseline_scores", "convergence_delta")
_REDUCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sum": lambda leaf: leaf.sum(-1, keepdims=True),
    "mean": lambda leaf: leaf.mean(-1, keepdims=True),
    "absolute": lambda leaf: np.abs(leaf).sum(-1, keepdims=True),
    "max": lambda leaf: np.abs(leaf).max(-1, keepdims=True),
    "norm": lambda leaf: np.sqrt(np.square(leaf).sum(-1, keepdims=True)),
}


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
        details: what the method found beside the values, by name, such as the fidelity of a surrogate: arrays with N
            rows; or None.
        output: which numbers of the model counted: "model", "logits" or "probabilities".

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
    details: dict[str, np.ndarray] | None = None
    output: str = "model"

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
        key = rows(key, len(self))

        def pick(leaf: Any) -> Any:
            return leaf[key] if isinstance(leaf, np.ndarray) else leaf

        parts = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in _KEPT}
        return dataclasses.replace(self, **{name: _map(pick, part) for name, part in parts.items()})

    @classmethod
    def concatenate(cls, parts: Sequence["Attribution"]) -> "Attribution":
        """Join attributions of one model, method and kind of target along the batch axis.

        Raises:
            ValueError: for no part, or parts of different structure or method.
        """
        parts = list(parts)
        if not parts:
            raise ValueError("parts must hold at least one Attribution; received none. Explain a batch first.")
        first = parts[0]
        for part in parts[1:]:
            if any(getattr(part, name) != getattr(first, name) for name in _KEPT):
                raise ValueError(
                    f"parts must come from one method at one layer and output; received {first!r} and {part!r}. "
                    "Concatenate the parts of each method by themselves."
                )
        fields = {f.name: [getattr(part, f.name) for part in parts] for f in dataclasses.fields(cls)}
        return cls(**{name: values[0] if name in _KEPT else _joined(name, values) for name, values in fields.items()})

    def reduce(self, how: str = "sum") -> "Attribution":
        """One number per position: the last axis of values with three axes or more becomes one long.

        Pixels lose their channels, (N, H, W, C) → (N, H, W, 1), and tokens the axis of their embedding,
        (N, T, D) → (N, T, 1). Values of rank 2, one per feature, stay as they are.

        Args:
            how: "sum" (keeps completeness), "mean", "absolute" (Σ|v|), "max" (the largest |v|) or "norm" (√Σv²).
        Raises:
            ValueError: for another word.

        >>> model = keras.Sequential([keras.Input((2, 2)), keras.layers.Flatten(),
        ...                           keras.layers.Dense(1, kernel_initializer="ones")])
        >>> attribution = ka.explain.IntegratedGradients().explain(model, [[[1.0, 2.0], [3.0, 4.0]]])
        >>> attribution.reduce().values.round(3).tolist()
        [[[3.0], [7.0]]]
        """
        check.one_of("how", how, tuple(_REDUCTIONS))

        def reduced(leaf: np.ndarray) -> np.ndarray:
            return leaf if leaf.ndim < 3 else _REDUCTIONS[how](leaf).astype("float32")

        kept = {} if how == "sum" else {"convergence_delta": None}
        return dataclasses.replace(self, values=_map(reduced, self.values), **kept)

    def __add__(self, other: "Attribution") -> "Attribution":
        """Values, scores and deltas are added; the rest is kept where both agree."""
        return self._combined(other, np.add, "added")

    def __sub__(self, other: "Attribution") -> "Attribution":
        """What changed from `other` to this one: values, scores and deltas are subtracted."""
        return self._combined(other, np.subtract, "subtracted")

    def __mul__(self, factor: float) -> "Attribution":
        """Values, scores and deltas times a number."""
        if not isinstance(factor, int | float | np.number):
            return NotImplemented
        return self._linear(lambda leaf: np.asarray(leaf * factor, "float32"))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "Attribution":
        """Values, scores and deltas over a number."""
        return self * (1 / divisor) if isinstance(divisor, int | float | np.number) else NotImplemented

    def __neg__(self) -> "Attribution":
        """Evidence against the target."""
        return self * -1.0

    def __abs__(self) -> "Attribution":
        """Magnitudes of the values; they no longer add up, so there is no delta."""
        return dataclasses.replace(self, values=_map(np.abs, self.values), convergence_delta=None)

    def _linear(self, function: Any) -> "Attribution":
        changed = {name: _map(function, getattr(self, name)) for name in _LINEAR if getattr(self, name) is not None}
        return dataclasses.replace(self, **changed)

    def _combined(self, other: Any, function: Any, word: str) -> "Attribution":
        if not isinstance(other, Attribution):
            return NotImplemented
        shapes = [[leaf.shape for leaf in keras.tree.flatten(part.values)] for part in (self, other)]
        if shapes[0] != shapes[1] or _outline(self.values) != _outline(other.values):
            raise ValueError(
                f"attributions must have equal structures to be {word}; received values of shapes {shapes[0]} and "
                f"{shapes[1]}. Explain the same inputs at the same place, or reduce() both first."
            )
        changed = {}
        for name in _LINEAR:
            one, two = getattr(self, name), getattr(other, name)
            both = one is not None and two is not None
            changed[name] = keras.tree.map_structure(function, one, two) if both else None
        for name in ("target", "baseline", "method", "layer", "details"):
            one, two = getattr(self, name), getattr(other, name)
            changed[name] = one if _equal(one, two) else None
        return dataclasses.replace(self, **changed)

    def __repr__(self) -> str:
        shapes = [str(leaf.shape) for leaf in keras.tree.flatten(self.values)]
        parts = [] if self.method is None else [repr(self.method)]
        parts += [f"{len(self)} samples", f"values {', '.join(shapes)}"]
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


def rows(key: Any, count: int) -> Any:
    """What picks samples and keeps the batch axis: an int becomes a slice of one.

    Raises:
        IndexError: for an int that is out of range.

    >>> rows(-1, 3), rows([0, 2], 3)
    (slice(-1, None, None), [0, 2])
    """
    if not isinstance(key, int | np.integer):
        return key
    if not -count <= key < count:
        raise IndexError(f"sample {key} is out of range: there are {count}.")
    return slice(int(key), int(key) + 1 or None)


def _outline(tree: Any) -> Any:
    """The structure with every leaf alike."""
    return _map(lambda leaf: None, tree)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict | list | tuple | np.ndarray) or isinstance(other, dict | list | tuple | np.ndarray):
        if _outline(one) != _outline(other):
            return False
        return all(map(np.array_equal, keras.tree.flatten(one), keras.tree.flatten(other)))
    return bool(one == other)


def _joined(name: str, trees: list) -> Any:
    """Structures of arrays along the batch axis; what is no array has to be the same in all."""
    if any(_outline(tree) != _outline(trees[0]) for tree in trees):
        raise ValueError(f"parts must have one structure of {name}. Concatenate explanations of one model and target.")
    if isinstance(trees[0], dict):
        return {key: _joined(name, [tree[key] for tree in trees]) for key in trees[0]}
    if isinstance(trees[0], list | tuple):
        return type(trees[0])(_joined(name, list(parts)) for parts in zip(*trees, strict=True))
    if not isinstance(trees[0], np.ndarray):
        return trees[0]
    if name == "details" and trees[0].ndim == 2:  # as many columns as the batch has features, filled up with NaN
        wide = max(tree.shape[1] for tree in trees)
        trees = [np.pad(tree, ((0, 0), (0, wide - tree.shape[1])), constant_values=np.nan) for tree in trees]
    return np.concatenate(trees)


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
