"""Cost of a quantization-aware training step over the plain step; size and speed of the files.

    python benchmarks/quantization.py [--rounds 15] [--only training|files]

Plain and quantized fits of the same model alternate in one process, their order swapped each round; a line of JSON for
each case and phase holds the median of the paired ratios and its quartiles. Times are CPU seconds of this process,
which other processes disturb less. Files: a MobileNet-shaped network at 96 x 96 is exported in every mode; a line for
each holds its bytes, those over the int8 file's, and, for calls that alternate with the float32 file's, the median
paired ratio of the times of a call on one thread (below 1 is faster than float32). Under 4 minutes on 2 quiet cores.
"""

import argparse
import json
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_arch.compression import calibrate, export_litert, quantize
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


def training(rounds: int) -> None:
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


def mobile(side: int = 96) -> keras.Model:
    """MobileNet's shape: depthwise and pointwise convolutions, ReLU6, 3 strides."""
    layers = keras.layers

    def normalized(x):
        return layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x))

    inputs = keras.Input((side, side, 3))
    x = normalized(layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(inputs))
    for width, strides in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        x = normalized(layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x))
        x = normalized(layers.Conv2D(width, 1, use_bias=False)(x))
    return keras.Model(inputs, layers.Dense(100)(layers.GlobalAveragePooling2D()(x)))


def runner(path: pathlib.Path, x: np.ndarray):
    """A function that runs a file once on one thread, and gives the seconds."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)

    def run() -> float:
        start = time.perf_counter()
        interpreter.invoke()
        return time.perf_counter() - start

    return run


def files(rounds: int) -> None:
    keras.utils.set_random_seed(0)
    model = mobile()
    x = np.random.default_rng(0).normal(size=(16, *model.input_shape[1:])).astype("float32")
    # Statistics of the data, so that activations have the spread of a trained network's.
    compiled(model).fit(x, np.arange(16) % 10, epochs=20, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        reports, paths = {}, {}
        for mode in ("float32", "float16", "dynamic"):
            paths[mode] = pathlib.Path(folder, f"{mode}.tflite")
            reports[mode] = export_litert(model, paths[mode], x, mode=mode)
        for weights, activations in ((8, 8), (4, 8), (8, 16)):
            q = calibrate(quantize(model, weights=weights, activations=activations), x)
            mode = f"w{weights}a{activations}"
            paths[mode] = pathlib.Path(folder, f"{mode}.tflite")
            reports[mode] = export_litert(q, paths[mode], x)
        plain = runner(paths["float32"], x[:1])
        plain()
        for mode, report in reports.items():
            run = runner(paths[mode], x[:1])
            run()
            pairs = []
            for i in range(20 * rounds):
                pair = {}
                for side in ("float32", mode) if i % 2 else (mode, "float32"):
                    pair[side] = (plain if side == "float32" else run)()
                if mode != "float32":
                    pairs.append((pair[mode] / pair["float32"], pair[mode]))
            ratios, times = zip(*pairs, strict=True) if pairs else ([1.0], [report.file.latency_ms / 1e3])
            low, median, high = np.percentile(ratios, [25, 50, 75])
            line = {
                "file": mode,
                "bytes": report.file.bytes,
                "bytes_over_int8": round(report.file.bytes / reports["w8a8"].file.bytes, 3),
                "time_over_float32": round(median, 3),
                "quartiles": [round(low, 3), round(high, 3)],
                "ms": round(float(np.median(times)) * 1e3, 3),
                "gap_steps": report.gap_steps,
                "argmax_agreement": report.argmax_agreement,
            }
            print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=("training", "files"))
    arguments = parser.parse_args()
    for part in (training, files):
        if arguments.only in (None, part.__name__):
            part(arguments.rounds)


if __name__ == "__main__":
    main()
