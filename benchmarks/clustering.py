"""Cost of clustering: steps of `fit` with the callback over steps without, alternating, median of ratios.

The networks are those of benchmarks/pruning.py; the dense one is the worst case, all weights and little work on each.
A last line for each number of clusters gives the seconds that k-means takes for 25 million weights, and its error over
the least there is for normal weights (Max 1960, doi:10.1109/TIT.1960.1057548).

    python benchmarks/clustering.py
"""

import json
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from pruning import WARM_UP, Clock, dense, large_cnn, small_cnn

import keras_arch.callbacks
from keras_arch import compression

LEAST_ERROR = {16: 0.009501, 256: 4.127e-5}  # mean squared, for variance 1


def ratio(build, batch: int, steps: int, epochs: int, **settings) -> dict:
    """Median over short epochs of clustered seconds / plain seconds."""
    keras.utils.set_random_seed(0)
    clustered, plain = build(), build()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch * steps, *plain.input_shape[1:])).astype("float32")
    y = rng.integers(0, 10, size=batch * steps)
    for model in (clustered, plain):
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    fitting = {"batch_size": batch, "verbose": 0, "shuffle": False}
    other = Clock()
    plain.fit(x, y, epochs=1, callbacks=[other], **fitting)
    clock = Clock(lambda: plain.fit(x, y, epochs=1, callbacks=[other], **fitting))
    clustering = keras_arch.callbacks.Clustering(**settings)
    clustered.fit(x, y, epochs=epochs, callbacks=[clustering, clock], **fitting)
    pairs = list(zip(clock.seconds, other.seconds[1:], strict=True))[WARM_UP:]
    milliseconds = 1000 * statistics.median(theirs for _, theirs in pairs) / (steps - 1)
    middle = statistics.median(ours / theirs for ours, theirs in pairs)
    return {"ratio": round(middle, 3), "plain_ms": round(milliseconds, 2), "parameters": plain.count_params()}


def seconds_of_k_means(clusters: int) -> dict:
    """Cluster 25 million normal weights in one layer."""
    model = keras.Sequential([keras.Input((5000,)), layers.Dense(5000, use_bias=False, kernel_initializer="normal")])
    model.layers[0].kernel.assign(np.random.default_rng(0).normal(size=(5000, 5000)))
    clusterer = compression.Clusterer(model, clusters)
    start = time.perf_counter()
    clusterer.cluster()
    seconds = time.perf_counter() - start
    error = clusterer.report(gzip=False).error / LEAST_ERROR[clusters]
    return {"seconds": round(seconds, 2), "parameters": model.count_params(), "error_over_least": round(error, 4)}


def main() -> None:
    """Print one JSON line for each case."""
    for settings in ({"clusters": 16}, {"clusters": 16, "preserve_zeros": True}):
        for build, batch, steps, epochs in ((small_cnn, 32, 41, 50), (large_cnn, 16, 4, 10), (dense, 128, 6, 20)):
            found = ratio(build, batch, steps, epochs, **settings)
            print(json.dumps({"case": build.__name__, **settings, **found}), flush=True)
    for clusters in LEAST_ERROR:
        print(json.dumps({"case": "k-means", "clusters": clusters, **seconds_of_k_means(clusters)}), flush=True)


if __name__ == "__main__":
    main()
