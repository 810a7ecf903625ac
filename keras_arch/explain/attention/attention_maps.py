"""The attention weights of a whole model, layer by layer."""

import dataclasses
import json
import os
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_arch.core import optional
from keras_arch.core.check import refuse
from keras_arch.explain import backend, place
from keras_arch.explain.attention.weights import Reading, attention_layers
from keras_arch.explain.attribution import rows
from keras_arch.explain.method import as_inputs
from keras_arch.explain.probe import Probe

_FORMAT = 1


@dataclass(frozen=True, eq=False, repr=False)
class AttentionMaps:
    """What each query of each attention layer looks at, as `attention_maps` reads it.

    N: samples, H: heads, T: queries, S: keys.

    Args:
        weights: path of the layer → float32 (N, H, T, S), in the order in which the layers run, each row summing to 1,
            or to 0 for a query that sees nothing; "path:1" is the second call of a shared layer. H is 1 for
            `keras.layers.Attention`; a layer whose batch is windows of the samples gives (N, windows, H, T, S).

    >>> x = np.ones((2, 3, 4), "float32")
    >>> inputs = keras.Input((3, 4))
    >>> model = keras.Model(inputs, keras.layers.MultiHeadAttention(2, 2, name="look")(inputs, inputs))
    >>> maps = attention_maps(model, x)
    >>> maps
    AttentionMaps(2 samples, look (2, 2, 3, 3))
    >>> (300 * maps.weights["look"][0, 0, 0]).round().tolist(), (100 * maps.entropy()["look"][0]).round().tolist()
    ([100.0, 100.0, 100.0], [110.0, 110.0])
    """

    weights: dict[str, np.ndarray]

    def entropy(self) -> dict[str, np.ndarray]:
        """Mean entropy of each head in nats, 0 for a head that looks at one key, log S for one that looks at all alike.

        entropy = mean over the queries that see something of -Σ_s A_ts log A_ts

        Returns:
            Path → float32 (N, H); NaN for a sample of which no query sees anything.
        """
        return {path: _entropy(weights) for path, weights in self.weights.items()}

    def __len__(self) -> int:
        return len(next(iter(self.weights.values())))

    def __getitem__(self, key: Any) -> "AttentionMaps":
        """The samples that `key` (an int, slice, or array of either kind) picks; the batch axis stays."""
        key = rows(key, len(self))
        return dataclasses.replace(self, weights={path: weights[key] for path, weights in self.weights.items()})

    def __repr__(self) -> str:
        shown = ", ".join(f"{path} {weights.shape}" for path, weights in self.weights.items())
        return f"AttentionMaps({len(self)} samples, {shown})"

    def plot(self, **options: Any) -> Any:
        """Draw layers by heads, as `keras_arch.plots.attention` does with the same options; returns a Figure."""
        return optional.room("plots").attention(self, **options)

    def save(self, path: str | os.PathLike) -> None:
        """Write all numbers to a file ".npz", without pickle; `load` reads it.

        Raises:
            ValueError: for another ending.
        """
        if os.path.splitext(os.fspath(path))[1].lower() != ".npz":
            raise refuse("path", "must end in .npz", os.fspath(path), "Add the ending.")
        header = json.dumps({"attention_maps": _FORMAT, "paths": list(self.weights)}).encode()
        arrays = {f"weights_{n}": weights for n, weights in enumerate(self.weights.values())}
        np.savez(path, header=np.frombuffer(header, "uint8"), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "AttentionMaps":
        """Read what `save` wrote.

        Raises:
            ValueError: if the file holds no attention maps, or those of a later format.
        """
        with np.load(path, allow_pickle=False) as stored:
            header = json.loads(stored["header"].tobytes()) if "header" in stored else {}
            if "attention_maps" not in header:
                raise refuse("path", "must be a file of AttentionMaps.save", os.fspath(path), "Save one first.")
            if header["attention_maps"] > _FORMAT:
                advice = "Update keras-arch to read it."
                raise refuse("path", f"must hold format {_FORMAT} or older", os.fspath(path), advice)
            return cls({name: stored[f"weights_{n}"] for n, name in enumerate(header["paths"])})


def _entropy(weights: np.ndarray) -> np.ndarray:
    wide = weights.astype("float64")
    rows = -(wide * np.log(np.where(wide > 0, wide, 1.0))).sum(-1)  # (N, H, T)
    sees = wide.sum(-1) > 0
    count = sees.sum(-1)
    mean = np.where(sees, rows, 0.0).sum(-1) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan).astype("float32")


def layer_paths(model: keras.Model, layers: Any) -> tuple[str, ...] | None:
    """Paths of the layers that a user chose, or None for all.

    Args:
        model: a Keras model.
        layers: None; or a layer, its name or its path, with ":1" for its second call; or several of them.
    Raises:
        ValueError: if one of them is not a layer of the model.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="head")])
    >>> layer_paths(model, "head"), layer_paths(model, None)
    (('head',), None)
    """
    if layers is None:
        return None
    several = layers if isinstance(layers, list | tuple) else [layers]
    return tuple(place.locate(model, layer)[1] for layer in several)


def attention_maps(
    model: keras.Model,
    x: Any,
    layers: Any = None,
    *,
    batch_size: int = 32,
    verbose: bool = False,
    jit_compile: bool = False,
) -> AttentionMaps:
    """Read the weights of all attention layers of a model, in the order in which they run.

    weights = softmax(Q K^T / sqrt(d) + bias, over what the masks show), before any dropout.

    Seen are the attention layers of Keras and of this package, at any depth, and any layer whose call takes
    `return_attention_scores`. Nothing is rebuilt: the model runs as it always does, and beside their own kernels,
    flash attention or tiles that show no weights, its layers compute the weights for the time of this call. The
    weights of a keras_arch `MultiHeadAttention` with sinks sum to less than 1.

    Args:
        model: any Keras model.
        x: samples, batch axis first, in the model's own structure.
        layers: None for all; or a layer, its name or its path, or several of these. The name of a block or a nested
            model means the attention layers inside; "encoder:1" is the second call of a shared layer.
        batch_size: samples per compiled call. All weights are returned: 12 layers of 12 heads over 197 tokens are
            22 MB a sample.
        verbose: whether long work shows a progress bar.
        jit_compile: whether XLA compiles the work.
    Returns:
        `AttentionMaps`.
    Raises:
        ValueError: if the model has no attention layer, or one that cannot show its weights.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.

    >>> inputs = keras.Input((3, 4))
    >>> model = keras.Model(inputs, keras.layers.MultiHeadAttention(2, 2, name="look")(inputs, inputs))
    >>> attention_maps(model, np.ones((1, 3, 4))).weights["look"].shape
    (1, 2, 3, 3)
    """
    if not isinstance(model, keras.Model):
        raise refuse("model", "must be a keras.Model", model, "Wrap a layer in keras.Sequential.")
    inputs = as_inputs(model, x)
    probe = Probe(model, batch_size=batch_size, verbose=verbose, jit_compile=jit_compile)
    probe.survey(inputs)  # builds the model where it was not
    attention_layers(model)
    reading = Reading(layer_paths(model, layers))
    parts = [results[1] for _, results in probe.each(reading, None, inputs)]
    joined = keras.tree.map_structure(lambda *leaves: np.concatenate([*map(backend.engine().array, leaves)]), *parts)
    return AttentionMaps({name.partition(" ")[2]: joined[name] for name in sorted(joined)})
