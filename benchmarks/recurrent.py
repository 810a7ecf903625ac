"""Time of `keras.layers.RNN` over our cells as a ratio of the same over `keras.layers.LSTMCell`.

Both layers alternate in one process, each call compiled by tf.function; the ratio is the median of the ratios of
neighbouring runs. One JSON line a cell and pass: the ratio (1 is as fast as Keras), the same per matrix product (the
multiplications of the cell's products in a step relative to the LSTM's), the quartiles of the ratios, and both median
times. Keras's own cells stand beside ours as what that figure can be; keras.layers.LSTM too, in whose place
LayerNormLSTMCell is used. The layers that run all steps at once (MinGRU, MinLSTM, LRU) have keras.layers.GRU and their
own matrix products as peers. About a minute a cell on 2 quiet cores; on a loaded machine give more rounds:

    python benchmarks/recurrent.py
    python benchmarks/recurrent.py --rounds 41 --cells LayerNormLSTMCell LayerNormGRUCell
    python benchmarks/recurrent.py --peer keras.layers.LSTM --cells LayerNormLSTMCell
    python benchmarks/recurrent.py --peer keras.layers.GRU --cells MinGRU MinLSTM LRU
    python benchmarks/recurrent.py --peer "Dense(2 N)" --cells MinGRU
    python benchmarks/recurrent.py --peer "Dense(N), Dense(N)" --cells LRU --length 2048
"""

import argparse
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from keras_arch import layers


@dataclasses.dataclass(frozen=True)
class Entry:
    """How to make a cell, or a whole recurrent layer, of N units.

    Args:
        make: N -> cell or layer.
        products: multiplications in a step's products over N², for N features (the LSTM has 4 + 4).
    """

    make: Callable
    products: float


CELLS = {
    "CoupledGateLSTMCell": Entry(layers.CoupledGateLSTMCell, 6),
    "LayerNormGRUCell": Entry(layers.LayerNormGRUCell, 6),
    "LayerNormGRUCell, reset before": Entry(lambda units: layers.LayerNormGRUCell(units, reset_after=False), 6),
    "LayerNormLSTMCell": Entry(layers.LayerNormLSTMCell, 8),
    "EchoStateCell": Entry(layers.EchoStateCell, 2),
    "IndRNNCell": Entry(layers.IndRNNCell, 1),
    "LayerNormSimpleRNNCell": Entry(layers.LayerNormSimpleRNNCell, 2),
    "NASCell": Entry(layers.NASCell, 16),
    "PeepholeLSTMCell": Entry(layers.PeepholeLSTMCell, 8),
}
LAYERS = {
    "LRU": Entry(lambda units: layers.LRU(units, return_sequences=True, seed=0), 2),
    "MinGRU": Entry(lambda units: layers.MinGRU(units, return_sequences=True), 2),
    "MinLSTM": Entry(lambda units: layers.MinLSTM(units, return_sequences=True), 3),
}
PEERS = {
    "keras.layers.LSTMCell": Entry(keras.layers.LSTMCell, 8),
    "keras.layers.LSTM": Entry(lambda units: keras.layers.LSTM(units, return_sequences=True), 8),
    "keras.layers.GRU": Entry(lambda units: keras.layers.GRU(units, return_sequences=True), 6),
    "Dense(2 N)": Entry(lambda units: keras.layers.Dense(2 * units, use_bias=False), 2),
    "Dense(N), Dense(N)": Entry(
        lambda units: keras.Sequential([keras.layers.Dense(units, use_bias=False) for _ in range(2)]), 2
    ),
    "keras.layers.GRUCell": Entry(keras.layers.GRUCell, 6),
    "keras.layers.SimpleRNNCell": Entry(keras.layers.SimpleRNNCell, 2),
}


def compiled(made, x):
    """(forward, forward and backward) of a cell in an RNN, or of a layer. Both return all that they should compute:
    what nobody asks for is left out."""
    is_cell = hasattr(made, "state_size") and not isinstance(made, keras.layers.RNN)
    layer = keras.layers.RNN(made, return_sequences=True) if is_cell else made
    layer.build(x.shape)

    @tf.function
    def forward():
        return layer(x)

    @tf.function
    def both():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x))
        return loss, tape.gradient(loss, [w.value for w in layer.trainable_weights])

    return {"forward": forward, "forward+backward": both}


def paired(ours, peer, rounds):
    """(ours, peer) in ms of neighbouring runs, the first of the two in turn."""
    times = []
    for turn in range(rounds + 2):
        pair = {}
        for name, run in (("ours", ours), ("peer", peer)) if turn % 2 else (("peer", peer), ("ours", ours)):
            start = time.perf_counter()
            run()
            pair[name] = (time.perf_counter() - start) * 1e3
        if turn >= 2:  # the first runs trace
            times.append((pair["ours"], pair["peer"]))
    return times


def main():
    table = {**CELLS, **LAYERS, **PEERS}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cells", nargs="+", choices=table, default=list(CELLS))
    parser.add_argument("--peer", choices=PEERS, default="keras.layers.LSTMCell")
    given = parser.parse_args()
    shape = (given.batch, given.length, given.units)
    x = tf.constant(np.random.default_rng(0).standard_normal(shape).astype("float32"))
    peer = compiled(PEERS[given.peer].make(given.units), x)
    for name in given.cells:
        ours = compiled(table[name].make(given.units), x)
        for step, run in ours.items():
            times = paired(run, peer[step], given.rounds)
            ratios = [a / b for a, b in times]
            ratio = statistics.median(ratios)
            result = {
                "benchmark": "recurrent",
                "cell": name,
                "peer": given.peer,
                "pass": step,
                "shape": list(shape),
                "ratio": round(ratio, 3),
                "ratio_per_product": round(ratio * PEERS[given.peer].products / table[name].products, 3),
                "quartiles": [round(q, 3) for q in statistics.quantiles(ratios, n=4)[::2]],
                "ours_ms": round(statistics.median(a for a, _ in times), 1),
                "peer_ms": round(statistics.median(b for _, b in times), 1),
            }
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
