"""Time of `ka.layers.MultiHeadAttention` as a ratio of `keras.layers.MultiHeadAttention`.

Both layers hold the same weights and alternate in one process, each call compiled by tf.function; the ratio is the
median of the ratios of neighbouring runs. One JSON line a case: ratio (below 1 is faster than Keras), both median
times, and the largest difference of the outputs. Under a minute on 2 quiet cores:

    python benchmarks/attention.py
"""

import json
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import keras_arch.layers

BATCH, LENGTH, WIDTH, HEADS = 8, 512, 512, 8
CASES = {
    "dense": {},
    "causal": {"use_causal_mask": True},
    "padded": {"value_mask": np.arange(LENGTH)[None] < np.linspace(LENGTH // 2, LENGTH, BATCH)[:, None]},
    "scores": {"return_attention_scores": True},
}


def compiled(layer, call, x):
    """(forward, forward and backward) as compiled functions without arguments, and each returning one array."""

    @tf.function
    def forward(x):
        return keras.tree.flatten(layer(x, x, **call))[0]

    @tf.function
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(forward(x))
        return tape.gradient(loss, [x, *(w.value for w in layer.trainable_weights)])[0]

    return lambda: forward(x).numpy(), lambda: both(x).numpy()


def paired(ours, peer, rounds):
    """Median of the ratios of neighbouring runs, and the median times in ms."""
    times = []
    for turn in range(rounds + 2):
        pair = {}
        for name, run in (("ours", ours), ("peer", peer)) if turn % 2 else (("peer", peer), ("ours", ours)):
            start = time.perf_counter()
            run()
            pair[name] = time.perf_counter() - start
        if turn >= 2:
            times.append((pair["ours"], pair["peer"]))
    return {
        "ratio": round(statistics.median(a / b for a, b in times), 3),
        "ours_ms": round(statistics.median(a for a, _ in times) * 1e3, 1),
        "keras_ms": round(statistics.median(b for _, b in times) * 1e3, 1),
    }


def main():
    x = tf.constant(np.random.default_rng(0).standard_normal((BATCH, LENGTH, WIDTH)).astype("float32"))
    peer = keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
    ours = keras_arch.layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
    for layer in (peer, ours):
        layer.build(x.shape, x.shape)
    ours.set_weights(peer.get_weights())
    for case, call in CASES.items():
        runs = [compiled(layer, call, x) for layer in (ours, peer)]
        error = float(np.abs(runs[0][0]() - runs[1][0]()).max())
        for step, rounds in ((0, 9), (1, 5)):
            line = {"case": case, "pass": ("forward", "forward+backward")[step], "shape": [BATCH, LENGTH, WIDTH, HEADS]}
            line |= paired(runs[0][step], runs[1][step], rounds)
            print(json.dumps(line | {"error": error}), flush=True)


if __name__ == "__main__":
    main()
