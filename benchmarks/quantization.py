"""Cost of a quantization-aware training step over the plain step, small and large CNN.

    python benchmarks/quantization.py [--rounds 15]

Plain and quantized fits of the same model alternate in one process, their order swapped each round; a line of JSON for
each case and phase holds the median of the paired ratios and its quartiles. Times are CPU seconds of this process,
which other processes disturb less. Under 2 minutes on 2 quiet cores.
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_arch.compression import quantize
from keras_arch.compression.quantization import set_phase

CASES = {"small": {"channels": 16, "hidden": 64, "steps": 20}, "large": {"channels": 64, "hidden": 512, "steps": 4}}
BATCH = 64


def cnn(channels: int, hidden: int) -> keras.Model:
    layers = keras.layers
    inputs = x = keras.Input((8, 8, 1))
    for width in (channels, 2 * channels):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(2 * channels, 3, padding="same", activation="relu")(x)
    x = layers.Dense(hidden, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(10)(x))


def compiled(model: keras.Model) -> keras.Model:
    model.compile(keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def seconds(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    start = time.process_time()
    model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    generator = np.random.default_rng(0)
    for case, size in CASES.items():
        x = generator.normal(size=(BATCH * size["steps"], 8, 8, 1)).astype("float32")
        y = generator.integers(0, 10, len(x))
        plain = compiled(cnn(size["channels"], size["hidden"]))
        seconds(plain, x, y)
        for phase in ("observe", "quantize"):
            quantized = compiled(quantize(plain))
            seconds(quantized, x, y)
            set_phase(quantized, phase)
            start = time.perf_counter()
            quantized.fit(x[:BATCH], y[:BATCH], batch_size=BATCH, verbose=0)
            retrace = time.perf_counter() - start
            ratios, times = [], []
            for i in range(rounds):
                pair = {}
                for model in (plain, quantized) if i % 2 else (quantized, plain):
                    pair[model] = seconds(model, x, y)
                ratios.append(pair[quantized] / pair[plain])
                times.append(pair[plain] / size["steps"] * 1e3)
            low, median, high = np.percentile(ratios, [25, 50, 75])
            line = {
                "case": case,
                "phase": phase,
                "ratio": round(median, 3),
                "quartiles": [round(low, 3), round(high, 3)],
                "plain_ms_per_step": round(float(np.median(times)), 2),
                "retrace_s": round(retrace, 2),
                "rounds": rounds,
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
