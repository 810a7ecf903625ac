"""What pruned models are worth: accuracy, speed after shrinking, and the cost of masks at 100 million weights.

accuracy: a CNN on handwritten digits, trained, then pruned over half of the epochs that follow and trained on; test
    accuracy of the float model, ours and tfmot's on tf_keras, for the same seeds, epochs and first weights; medians and
    means over the seeds. Ours ranks all weights together (scope="global"), which tfmot can't; beside it what it gives
    layer by layer. Goals: at 80 % at most 0.5 points below the float model, at 95 % 2 points, not below tfmot.
shrink: half of the filters of a CNN pruned as channels and removed; whole / small seconds of `predict` and of the
    LiteRT interpreter, alternating, medians of ratios, and small / whole parameters. Goals: 1.7x, 1.7x, 0.35x.
large: a model of 100 million weights; seconds to choose and write masks, seconds of a report without gzip, and the peak
    memory beside the weights over the weights' own. Goals: 2 s for masks and report together, 2x.

    pip install -e ".[examples,interop]" "ai-edge-litert>=2.1"
    python benchmarks/pruned_models.py                     # all three, some ten minutes
    python benchmarks/pruned_models.py --parts shrink large
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_arch.callbacks
from keras_arch import compression

EPOCHS, BATCH = 24, 32


def digits():
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x, y = data.images[order, :, :, None].astype("float32") / 16, data.target[order]
    return x[:1347], y[:1347], x[1347:], y[1347:]


def cnn(library):
    layers = library.layers
    return library.Sequential(
        [
            layers.InputLayer((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def compiled(library, model):
    model.compile(
        library.optimizers.Adam(1e-3),
        library.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def accuracy_of_one_seed(seed, sparsity, data):
    """(float, ours ranked globally, ours by layer, tfmot) test accuracy."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    x, y, x_test, y_test = data
    fit = {"batch_size": BATCH, "epochs": EPOCHS, "verbose": 0}
    steps = EPOCHS * -(-len(x) // BATCH)
    keras.utils.set_random_seed(seed)
    start = compiled(keras, cnn(keras))
    start.fit(x, y, **fit)
    weights = start.get_weights()

    def measured(library, model, callbacks):
        library.utils.set_random_seed(seed)
        compiled(library, model).fit(x, y, callbacks=callbacks, **fit)
        return model.evaluate(x_test, y_test, verbose=0)[1]

    plain, ours, by_layer = cnn(keras), cnn(keras), cnn(keras)
    for model in (plain, ours, by_layer):
        model.set_weights(weights)
    schedule = compression.PolynomialSchedule(0.0, sparsity, begin_step=0, end_step=steps // 2, every=10)
    results = [
        measured(keras, plain, []),
        measured(keras, ours, [keras_arch.callbacks.Pruning(schedule, scope="global")]),
        measured(keras, by_layer, [keras_arch.callbacks.Pruning(schedule)]),
    ]
    theirs = cnn(tf_keras)
    theirs.set_weights(weights)
    theirs = tfmot.sparsity.keras.prune_low_magnitude(
        theirs, tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity, begin_step=0, end_step=steps // 2, frequency=10)
    )
    return [*results, measured(tf_keras, theirs, [tfmot.sparsity.keras.UpdatePruningStep()])]


def accuracy(seeds):
    """One line for each sparsity."""
    data = digits()
    for sparsity, goal in ((0.8, 0.5), (0.95, 2.0)):
        table = 100 * np.array([accuracy_of_one_seed(seed, sparsity, data) for seed in range(seeds)])
        names = ("float", "ours", "ours_by_layer", "tfmot")
        yield {
            "case": "accuracy",
            "sparsity": sparsity,
            "seeds": seeds,
            **{f"{name}_median": round(float(np.median(table[:, n])), 2) for n, name in enumerate(names)},
            **{f"{name}_mean": round(float(table[:, n].mean()), 2) for n, name in enumerate(names)},
            "points_below_float": round(float((table[:, 0] - table[:, 1]).mean()), 2),
            "goal": goal,
        }


def wide_cnn():
    layers = keras.layers
    parts = [keras.Input((32, 32, 3))]
    for filters in (64, 128, 256):
        for _ in range(2):
            parts += [layers.Conv2D(filters, 3, padding="same", use_bias=False), layers.BatchNormalization()]
            parts += [layers.ReLU()]
        parts += [layers.MaxPooling2D()]
    return keras.Sequential([*parts, layers.GlobalAveragePooling2D(), layers.Dense(10)])


def interpreter(model, batch):
    """A call of the model's LiteRT file, by the runtime that the tests use."""
    from ai_edge_litert.interpreter import Interpreter

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.tflite")
        model.export(path, format="litert", verbose=False)
        runtime = Interpreter(model_path=path, num_threads=2)
    runtime.allocate_tensors()
    index = runtime.get_input_details()[0]["index"]
    sample = batch[:1]

    def run():
        runtime.set_tensor(index, sample)
        runtime.invoke()

    return run


def paired(whole, small, rounds=15):
    """Median of whole / small seconds of neighbouring runs."""
    ratios = []
    for turn in range(rounds + 2):
        seconds = {}
        for name, run in (("whole", whole), ("small", small)) if turn % 2 else (("small", small), ("whole", whole)):
            start = time.perf_counter()
            run()
            seconds[name] = time.perf_counter() - start
        ratios += [seconds["whole"] / seconds["small"]] if turn > 1 else []
    return round(statistics.median(ratios), 2)


def shrink():
    """Whole against small."""
    keras.utils.set_random_seed(0)
    model = wide_cnn()
    x = np.random.default_rng(0).normal(size=(256, 32, 32, 3)).astype("float32")
    compression.prune(model, 0.5, pattern="channel")
    small = compression.shrink(model)
    outputs = model.predict(x, verbose=0)
    gap = float(np.abs(small.predict(x, verbose=0) - outputs).max() / np.abs(outputs).max())
    yield {
        "case": "shrink",
        "predict": paired(*(lambda m=m: m.predict(x, batch_size=64, verbose=0) for m in (model, small))),
        "litert": paired(*(interpreter(m, x) for m in (model, small))),
        "parameters": round(small.count_params() / model.count_params(), 3),
        "gap_over_largest_output": gap,
    }


def large():
    """Masks and report at 100 million weights. Run alone, or the peak is that of what ran before."""
    layers = [keras.layers.Dense(5000, use_bias=False) for _ in range(4)]
    model = keras.Sequential([keras.Input((5000,)), *layers])
    pruner = compression.Pruner(model, compression.ConstantSchedule(0.5))
    taken = {"masks": [], "report": []}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for sparsity in (0.5, 0.6, 0.7):
        for name, run in (("masks", lambda s=sparsity: pruner.prune(s)), ("report", lambda: pruner.report(gzip=False))):
            start = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - start)
    more = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    yield {
        "case": "large",
        "parameters": model.count_params(),
        **{f"{name}_seconds": round(statistics.median(times), 2) for name, times in taken.items()},
        "memory_over_weights": round(more / (4 * model.count_params()), 2),
    }


def main():
    parts = {"accuracy": accuracy, "shrink": shrink, "large": large}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    for name in given.parts:
        for line in parts[name](given.seeds) if name == "accuracy" else parts[name]():
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
