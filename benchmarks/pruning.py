"""Cost of pruning: steps of `fit` with the callback over steps without, alternating, median of ratios.

Goal: at most 1.03 on the two CNNs. The dense network is the worst case, all weights and little work on each; no goal.
Masks are chosen every 100 steps. A last line gives the seconds of one choice of masks for 25 million weights.

    python benchmarks/pruning.py
"""

import json
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

import keras_arch.callbacks
from keras_arch import compression

EVERY = 100
WARM_UP = 2


def small_cnn():
    parts = [layers.Conv2D(32, 3, padding="same", activation="relu"), layers.Conv2D(32, 3, activation="relu")]
    head = [layers.MaxPooling2D(), layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10)]
    return keras.Sequential([keras.Input((8, 8, 1)), *parts, *head])


def large_cnn():
    blocks = []
    for channels in (64, 128, 256):
        blocks += [layers.Conv2D(channels, 3, padding="same", use_bias=False), layers.BatchNormalization()]
        blocks += [layers.ReLU(), layers.Conv2D(channels, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    head = [layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dense(10)]
    return keras.Sequential([keras.Input((32, 32, 3)), *blocks, *head])


def dense():
    body = [layers.Dense(1024, activation="relu") for _ in range(3)]
    return keras.Sequential([keras.Input((512,)), *body, layers.Dense(10)])


class Clock(keras.callbacks.Callback):
    """Seconds from the second step of an epoch to its end; after each epoch the other model has its turn."""

    def __init__(self, turn=None):
        super().__init__()
        self.turn, self.seconds = turn, []

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 1:  # the first one waits for the data
            self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)
        if self.turn is not None:
            self.turn()


def ratio(build, batch: int, steps: int, epochs: int) -> dict:
    """Median over short epochs of pruned seconds / plain seconds."""
    keras.utils.set_random_seed(0)
    pruned, plain = build(), build()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch * steps, *plain.input_shape[1:])).astype("float32")
    y = rng.integers(0, 10, size=batch * steps)
    for model in (pruned, plain):
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    settings = {"batch_size": batch, "verbose": 0, "shuffle": False}
    other = Clock()
    plain.fit(x, y, epochs=1, callbacks=[other], **settings)
    clock = Clock(lambda: plain.fit(x, y, epochs=1, callbacks=[other], **settings))
    schedule = compression.PolynomialSchedule(0.0, 0.8, begin_step=0, end_step=epochs * steps, every=EVERY)
    pruned.fit(x, y, epochs=epochs, callbacks=[keras_arch.callbacks.Pruning(schedule), clock], **settings)
    pairs = list(zip(clock.seconds, other.seconds[1:], strict=True))[WARM_UP:]
    milliseconds = 1000 * statistics.median(theirs for _, theirs in pairs) / (steps - 1)
    middle = statistics.median(ours / theirs for ours, theirs in pairs)
    return {"ratio": round(middle, 3), "plain_ms": round(milliseconds, 2), "parameters": plain.count_params()}


def seconds_of_one_choice() -> dict:
    """Rank and mask 25 million weights in one layer of the rank of all."""
    model = keras.Sequential([keras.Input((5000,)), layers.Dense(5000, use_bias=False)])
    pruner = compression.Pruner(model, compression.ConstantSchedule(0.5), scope="global")
    taken = []
    for sparsity in (0.5, 0.6, 0.7):
        start = time.perf_counter()
        pruner.prune(sparsity)
        taken.append(time.perf_counter() - start)
    return {"seconds": round(statistics.median(taken), 2), "parameters": model.count_params()}


def main() -> None:
    """Print one JSON line for each case."""
    cases = ((small_cnn, 32, 41, 50, 1.03), (large_cnn, 16, 4, 10, 1.03), (dense, 128, 6, 20, None))
    for build, batch, steps, epochs, goal in cases:
        print(json.dumps({"case": build.__name__, **ratio(build, batch, steps, epochs), "goal": goal}), flush=True)
    print(json.dumps({"case": "choose masks", **seconds_of_one_choice()}))


if __name__ == "__main__":
    main()
