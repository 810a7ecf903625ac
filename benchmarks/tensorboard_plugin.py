"""Cost of logging one number for each of 200 layers at each of 2000 steps.

Ours, one vector a step, against one `tf.summary.scalar` a layer, in turns in one process; the peer is timed on fewer
steps and both are given per step. Prints one JSON line. Limits: 0.4 ms a step and 2 MB.

    python benchmarks/tensorboard_plugin.py

Not named tensorboard.py: a script's folder comes first in the search for modules, and there it would hide TensorBoard
from every benchmark.
"""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from keras_arch.tensorboard import EventWriter

LAYERS, STEPS, ROUNDS, PEER_STEPS = 200, 2000, 10, 4


def size(folder):
    return sum(path.stat().st_size for path in Path(folder).iterdir())


def main():
    names = [f"backbone/stage_{index // 20}/block_{index % 20}/conv2d" for index in range(LAYERS)]
    values = np.random.default_rng(0).random((STEPS, LAYERS))
    ours, peers = [], []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as peer_folder:
        peer = tf.summary.create_file_writer(peer_folder)
        with EventWriter(folder) as writer:
            for part in np.split(np.arange(STEPS), ROUNDS):
                begin = time.perf_counter()
                for step in part:
                    writer.vector("sparsity", values[step], names, step)
                ours.append((time.perf_counter() - begin) / len(part))
                begin = time.perf_counter()
                with peer.as_default():
                    for step in part[:PEER_STEPS]:
                        for name, value in zip(names, values[step], strict=True):
                            tf.summary.scalar(f"sparsity/{name}", value, step=int(step))
                    peer.flush()
                peers.append((time.perf_counter() - begin) / PEER_STEPS)
        peer.close()
        line = {
            "benchmark": "tensorboard.write",
            "layers": LAYERS,
            "steps": STEPS,
            "ms_a_step": round(1e3 * statistics.median(ours), 4),
            "megabytes": round(size(folder) / 1e6, 3),
            "scalars_ms_a_step": round(1e3 * statistics.median(peers), 3),
            "scalars_megabytes": round(size(peer_folder) / (ROUNDS * PEER_STEPS) * STEPS / 1e6, 1),
            "ratio": round(statistics.median(a / b for a, b in zip(ours, peers, strict=True)), 5),
        }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
