"""Clustering while `fit` trains."""

import os
from typing import Any

import keras

from keras_arch.compression.clustering.clusterer import GRADIENTS, Centroids, Clusterer, Overrides, check_centroids
from keras_arch.compression.clustering_report import ClusteringReport
from keras_arch.compression.pruning.guarded_step import GuardedStep
from keras_arch.compression.scope import Targets
from keras_arch.core import check


class Clustering(keras.callbacks.Callback):
    """Trains a model whose kernels have few values: after every optimizer step at most `clusters` different ones each.

    When the epoch begins, k-means finds the values of each kernel and gives each weight one of them. From then on the
    members of a cluster move together: their gradients are joined before the optimizer's step, and their values after
    it. Which weight is in which cluster stays, as in the paper.

    The model keeps its layers, names and training step. After `fit` it is the stock model it was, with few values in
    it: nothing to strip, and `model.save` writes a file that loads without keras_arch. If `fit` ends by an exception
    the optimizer is untouched, and the training step gives itself back when it is next used. A later `fit` with the
    callback finds the clusters that are there and goes on with them; one without it takes them apart.

    The gradient of a shared value is the mean of its members' gradients, so that it moves as far as one weight moved
    at the same learning rate. The true one, the paper's, is their sum: `gradient="sum"`. To Adam and others that divide
    by the size of the gradient it makes no difference, but for their epsilon; steps of SGD with the sum are as many
    times longer as a cluster has members. Limits on the gradient, such as `clipnorm`, see the joined one.

    To keep accuracy: train first, then cluster with a learning rate of about a tenth of the first. Moving averages of
    the weights (`use_ema`) are clustered as well. Callbacks that bring back weights from before `begin_epoch`, such as
    `EarlyStopping(restore_best_weights=True)`, bring back weights that are not clustered: let them start after it.

    To cluster a pruned model, or while `Pruning` trains it on in the same `fit`, pass `preserve_zeros=True`. A later
    `compression.quantize` rounds the values; to keep few of them, train the quantized copy with this callback too.

    Args:
        clusters: how many different values a kernel may have, >= 2; 16 take 4 bits a weight.
        centroids: where k-means begins: "kmeans++", "linear", "density", one of `compression.clustering.centroids`, or
            a callable; see `compression.Clusterer`.
        begin_epoch: epoch that begins with the clustering, >= 0; by the number that `fit` gives it.
        targets: None for all kernels, a list of layer paths, or a callable `(path, variable) -> bool`; see
            `compression.scope.select`.
        overrides: layers with a number of clusters of their own, `{"head": 64}`, by path or name.
        preserve_zeros: whether zeros stay zeros; 0 is one of the values then, whether or not there are zeros at first.
        gradient: "mean" or "sum" of the members' gradients.
        log_dir: directory for TensorBoard: after each epoch, for each weight, the vectors "clusters/values" and
            "clusters/bits", and "bytes/raw" and "bytes/coded" of the model as scalars.
    Raises:
        ValueError: here, when `fit` begins, or for weights that are not finite when the epoch begins; the weights are
            untouched.
    Source: Han et al. 2016, arXiv:1510.00149, section 3, who take the sum.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model.compile("adam", "mse")
    >>> clustering = ka.callbacks.Clustering(clusters=4)
    >>> history = model.fit(np.ones((8, 8)), np.ones((8, 4)), callbacks=[clustering], verbose=0)
    >>> clustering.report().layers[0].values
    4
    """

    def __init__(
        self,
        clusters: int = 16,
        centroids: Centroids = "kmeans++",
        begin_epoch: int = 0,
        targets: Targets = None,
        overrides: Overrides = None,
        preserve_zeros: bool = False,
        gradient: str = "mean",
        log_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self.clusters = check.integer("clusters", clusters, minimum=2)
        self.centroids = check_centroids(centroids)
        self.begin_epoch = check.integer("begin_epoch", begin_epoch, minimum=0)
        self.targets = targets
        self.overrides = overrides
        self.preserve_zeros = preserve_zeros
        self.gradient = check.one_of("gradient", gradient, GRADIENTS)
        self.log_dir = log_dir
        self._clusterer: Clusterer | None = None
        self._guard: GuardedStep | None = None
        self._writer: Any = None

    def report(self, gzip: bool = True) -> ClusteringReport:
        """Measure what is clustered now; errors are those of the clustering, before what training made of it.

        Args:
            gzip: whether to compress all weights too, which takes a second for some 10 MB and core.
        Raises:
            ValueError: before the first `fit`.
        """
        if self._clusterer is None:
            raise ValueError("report needs a model; this callback has not been in a fit. Pass it to model.fit first.")
        return self._clusterer.report(gzip)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Check the arguments against the model."""
        self._close()
        self._guard = None
        # TensorFlow builds a subclassed model in its first step.
        self._clusterer = self._make_clusterer() if self.model.built else None
        if self.log_dir is not None:
            from keras_arch.tensorboard import EventWriter

            self._writer = EventWriter(self.log_dir)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Cluster the weights and take the place of the training step, if it is time."""
        if self._guard is not None or epoch < self.begin_epoch:
            return
        model = self.model
        if self._clusterer is None and model.built:
            self._clusterer = self._make_clusterer()
        if self._clusterer is not None:
            self._clusterer.cluster()
        self._guard = GuardedStep(model, self._clusterer, self._begin_late)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Announce a step that holds the clusters."""
        if self._guard is not None:
            self._guard.arm()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write the values of each weight for TensorBoard."""
        if self._writer is None:
            return
        report, step = self._clusterer.report(gzip=False), int(self.model.optimizer.iterations.numpy())
        names = [f"{row.path}/{row.weight}" for row in report.layers]
        self._writer.vector("clusters/values", [row.values for row in report.layers], names, step)
        self._writer.vector("clusters/bits", [row.bits for row in report.layers], names, step)
        self._writer.scalar("bytes/raw", report.bytes_raw, step)
        self._writer.scalar("bytes/coded", report.bytes_coded, step)
        self._writer.flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Give the model its training step back."""
        if self._guard is not None:
            self._guard.remove()
        self._close()

    def _make_clusterer(self) -> Clusterer:
        return Clusterer(
            self.model,
            self.clusters,
            self.centroids,
            self.targets,
            self.overrides,
            self.preserve_zeros,
            self.gradient,
        )

    def _begin_late(self) -> Clusterer:
        self._clusterer = self._make_clusterer()
        self._clusterer.cluster()
        return self._clusterer

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
