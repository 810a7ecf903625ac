"""Clustering apart from `fit`: choose shared values once, hold them, report."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np

from keras_arch.compression import scope as scopes
from keras_arch.compression.clustering import centroids as room
from keras_arch.compression.clustering.shared_apply import SharedWeight, sharing_weights
from keras_arch.compression.clustering_report import ClusteringReport, measure
from keras_arch.compression.pruning.masked_apply import MaskedSteps
from keras_arch.core import check
from keras_arch.core.identifiers import resolve
from keras_arch.ops.clustering import SortedValues, kmeans_1d, nearest

Centroids = str | Callable[[np.ndarray, int], Any]
Overrides = Mapping[str, int] | None
GRADIENTS = ("mean", "sum")


class Clusterer:
    """Clusters the weights of a model in place; `callbacks.Clustering` is this, driven by `fit`.

    Each kernel is clustered alone, by k-means. In a loop of your own call `cluster` once and take the steps inside
    `hold`: the weights of a cluster then move together, and each weight stays in its cluster, as in the paper.

    Args:
        model: a built model; it is not wrapped or changed, only the values of its weights are.
        clusters: how many different values a kernel may have, >= 2; 16 take 4 bits a weight.
        centroids: where k-means begins: "kmeans++", "linear", "density", one of `compression.clustering.centroids`, or
            a callable (weights of one kernel in ascending order, clusters) -> at most so many numbers.
        targets: what is clustered, see `compression.scope.select`; None means kernels.
        overrides: layers with a number of clusters of their own, `{"head": 64}`, by path or name.
        preserve_zeros: whether zeros stay zeros, as after pruning: 0 is one of the values then, whether or not there
            are zeros now. Without it they join the values around them, and sparsity is lost.
        gradient: "mean" or "sum" of the members' gradients; see `callbacks.Clustering`.
    Raises:
        ValueError: if an argument breaks its rule, a kernel has fewer weights than clusters, or one is not finite. The
            weights are untouched then.
    Source: Han et al. 2016, arXiv:1510.00149, section 3.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> clusterer = ka.compression.Clusterer(model, clusters=4)
    >>> clusterer.cluster()
    >>> with clusterer.hold():
    ...     for step in range(3):
    ...         model.optimizer.apply([keras.ops.ones((8, 4)), keras.ops.ones(4)], model.trainable_variables)
    >>> clusterer.report().layers[0].values
    4
    """

    def __init__(
        self,
        model: keras.Model,
        clusters: int = 16,
        centroids: Centroids = "kmeans++",
        targets: scopes.Targets = None,
        overrides: Overrides = None,
        preserve_zeros: bool = False,
        gradient: str = "mean",
    ) -> None:
        self.model = model
        self.clusters = check.integer("clusters", clusters, minimum=2)
        self.centroids = check_centroids(centroids)
        self.preserve_zeros = preserve_zeros
        self.gradient = check.one_of("gradient", gradient, GRADIENTS)
        self.targets = scopes.select(model, targets)
        self._counts = self._counts_of(overrides)
        for target, count in zip(self.targets, self._counts, strict=True):
            if count > target.size:
                raise ValueError(
                    f"clusters must be at most the number of weights; received {count} for the {target.size} weights "
                    f"of {target.path}/{target.variable.name}. Leave the layer out by targets, or give it fewer "
                    "by overrides."
                )
        self._shared: list[SharedWeight] = []
        self._errors: list[float] | None = None

    def cluster(self) -> None:
        """Find the clusters of every kernel and write one value for each; what has few values already keeps them.

        Raises:
            ValueError: if a weight is not finite, or the centroids are not; the weights keep their values.
        """
        found = [self._find(target, count) for target, count in zip(self.targets, self._counts, strict=True)]
        self._shared, self._errors = [], []
        for target, (codebook, index) in zip(self.targets, found, strict=True):
            variable, before = target.variable, _numbers(target.variable)
            variable.assign(codebook.astype(before.dtype)[index])
            difference = before - _numbers(variable)
            self._errors.append(float(np.mean(np.square(difference), dtype="float64")))
            self._shared.append(SharedWeight(variable, index, len(codebook), self.preserve_zeros))

    def hold(self, optimizer: keras.optimizers.Optimizer | None = None) -> AbstractContextManager[MaskedSteps]:
        """Keep one value a cluster in every step that `optimizer` takes inside the `with` block.

        Args:
            optimizer: the model's own if None.
        Raises:
            ValueError: before `cluster`.
        """
        if self._errors is None:
            raise ValueError("hold needs clusters; there are none yet. Call cluster() first.")
        optimizer = self.model.optimizer if optimizer is None else optimizer
        return sharing_weights(optimizer, self._shared, self.gradient == "mean")

    def report(self, gzip: bool = True) -> ClusteringReport:
        """Measure what is clustered; the errors are those that `cluster` made, before any training.

        Args:
            gzip: whether to compress all weights too, which takes a second for some 10 MB and core.
        """
        return measure(self.model, self.targets, self._errors, gzip)

    def _find(self, target: scopes.Target, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Ascending values, and the index of one of them for each weight; with `preserve_zeros`, 0 at index 0."""
        weights, name = _numbers(target.variable), f"{target.path}/{target.variable.name}"
        if not np.isfinite(weights).all():
            raise ValueError(
                f"weights must be finite to be clustered; received NaN or infinity in {name}. "
                "Load weights from before training broke."
            )
        if not self.preserve_zeros:
            codebook = self._codebook(weights, count, name)
            return codebook, nearest(weights, codebook)
        zero = weights == 0
        others = weights[~zero]
        codebook = self._codebook(others, count - 1, name) if others.size else np.zeros(0)
        index = np.zeros(weights.shape, "uint8" if count <= 256 else "int32")
        index[~zero] = nearest(others, codebook) + 1 if others.size else 0
        return np.concatenate([[0.0], codebook]), index

    def _codebook(self, weights: np.ndarray, count: int, name: str) -> np.ndarray:
        values = SortedValues(weights)
        start = np.asarray(self.centroids(values.values, count), "float64")
        if start.ndim != 1 or not 1 <= len(start) <= count or not np.isfinite(start).all():
            raise ValueError(
                f"centroids must return from 1 to {count} finite numbers; received an array of shape {start.shape} "
                f"for {name}, finite: {bool(np.isfinite(start).all())}. Return for example np.linspace(-1, 1, k)."
            )
        return kmeans_1d(values, start, count)

    def _counts_of(self, overrides: Overrides) -> list[int]:
        if overrides is not None and not isinstance(overrides, Mapping):
            advice = "Pass for example {'head': 64}."
            raise check.refuse("overrides", "must map names of layers to numbers of clusters", overrides, advice)
        places = {id(target.variable): place for place, target in enumerate(self.targets)}
        counts = [self.clusters] * len(self.targets)
        for name, value in (overrides or {}).items():
            value = check.integer(f"overrides[{name!r}]", value, minimum=2)
            found = [places.get(id(kernel)) for kernel in scopes.kernels_of(self.model, name, "overrides")]
            found = [place for place in found if place is not None]
            if not found:
                paths = ", ".join(dict.fromkeys(target.path for target in self.targets))
                raise check.refuse("overrides", f"must name layers that are clustered: {paths}", name, "Correct it.")
            for place in found:
                counts[place] = value
        return counts


def cluster(
    model: keras.Model,
    clusters: int = 16,
    centroids: Centroids = "kmeans++",
    targets: scopes.Targets = None,
    overrides: Overrides = None,
    preserve_zeros: bool = False,
) -> ClusteringReport:
    """Cluster a model at once, in place, without training.

    A later `compression.quantize` to 8 bits rounds the shared values, it does not keep them: at most as many remain in
    each channel.

    Args:
        model: a built model.
        clusters: how many different values a kernel may have, >= 2.
        centroids: where k-means begins; see `Clusterer`.
        targets: what is clustered; None means kernels.
        overrides: layers with a number of clusters of their own; see `Clusterer`.
        preserve_zeros: whether zeros stay zeros, as after pruning; 0 is one of the values then.
    Returns:
        The report of what was clustered.
    Raises:
        ValueError: if an argument breaks its rule; the weights are untouched then.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> report = ka.compression.cluster(model, clusters=4)
    >>> len(np.unique(model.layers[0].kernel)), report.layers[0].bits
    (4, 2)
    """
    clusterer = Clusterer(model, clusters, centroids, targets, overrides, preserve_zeros)
    clusterer.cluster()
    return clusterer.report()


def check_centroids(centroids: Any) -> Any:
    """Turn a string id into what chooses the first centroids, and refuse what can't be called.

    >>> from keras_arch.compression.clustering.clusterer import check_centroids
    >>> check_centroids("kmeans++")
    KMeansPlusPlus(seed=0)
    """
    named = "k_means_plus_plus" if isinstance(centroids, str) and centroids == "kmeans++" else centroids
    found = resolve("centroids", named, room)
    if not callable(found):
        rule = "must be a callable (weights, clusters) -> numbers"
        raise check.refuse("centroids", rule, centroids, "Pass 'kmeans++'.")
    return found


def _numbers(variable: keras.Variable) -> np.ndarray:
    """The values of a weight, in a type that NumPy sorts."""
    array = np.asarray(variable.numpy())
    return array if array.dtype in ("float32", "float64") else array.astype("float32")
