"""Time of `keras.layers.RNN` over our cells as a ratio of the same over `keras.layers.LSTMCell`.

Both layers alternate in one process, each call compiled by tf.function; the ratio is the median of the ratios of
neighbouring runs. One JSON line: for each cell and pass the ratio (1 is as fast as Keras) and both median times. Under
two minutes on 2 cores:

    python benchmarks/recurrent.py
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import keras_arch.layers

CELLS = {"LayerNormLSTMCell": keras_arch.layers.LayerNormLSTMCell}


def compiled(cell, x):
    """(forward, forward and backward) of an RNN over a cell, as functions that take nothing and wait for the result."""
    layer = keras.layers.RNN(cell, return_sequences=True)
    layer.build(x.shape)

    @tf.function
    def forward():
        return layer(x)

    @tf.function
    def both():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, [w.value for w in layer.trainable_weights])

    return lambda: forward().numpy(), lambda: [g.numpy() for g in both()]


def paired(ours, peer, rounds):
    """Median of the ratios of neighbouring runs, and the median times in ms."""
    times = []
    for turn in range(rounds + 2):
        pair = {}
        for name, run in (("ours", ours), ("peer", peer)) if turn % 2 else (("peer", peer), ("ours", ours)):
            start = time.perf_counter()
            run()
            pair[name] = time.perf_counter() - start
        if turn >= 2:  # the first runs trace
            times.append((pair["ours"], pair["peer"]))
    return {
        "ratio": round(statistics.median(a / b for a, b in times), 3),
        "ours_ms": round(statistics.median(a for a, _ in times) * 1e3, 1),
        "keras_ms": round(statistics.median(b for _, b in times) * 1e3, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    shape = (given.batch, given.length, given.units)
    x = tf.constant(np.random.default_rng(0).standard_normal(shape).astype("float32"))
    peer = compiled(keras.layers.LSTMCell(given.units), x)
    result = {"benchmark": "recurrent", "peer": "keras.layers.LSTMCell", "shape": list(shape), "cells": {}}
    for name, cell in CELLS.items():
        runs = zip(("forward", "forward+backward"), compiled(cell(given.units), x), peer, strict=True)
        result["cells"][name] = {step: paired(ours, theirs, given.rounds) for step, ours, theirs in runs}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
