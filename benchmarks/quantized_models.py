"""What quantized models are worth: test accuracy beside that of a float model that trained as long.

A CNN on handwritten digits is trained in float; from its weights every line trains on for the same epochs, at the same
learning rate and in the same order of the same batches, in float ("control") or quantized. Means over the seeds:

qat8: kernels and activations in 8 bits, as Keras and as the LiteRT file compute. Goal: 0.2 points below control.
w4a8: kernels in 4 bits, as the LiteRT file computes. Goal: 0.7 points below float.
w4a4: kernels and activations in 4 bits, in Keras; LiteRT has no such files. Goal: 1 point below float.
w4a4_percentile: the same with the observer "percentile", which cuts off what activations rarely reach. For information.
ptq8: the float model at 8 bits with ranges from 256 digits, no training. For information.
tfmot: its quantization-aware training at 8 bits on tf_keras, from the same weights; left out without it.

float is the better of the model that all start from and of control, so that no goal is easier for training longer. One
of the 450 digits kept aside is 0.22 points.

    pip install -e ".[examples,interop]" "ai-edge-litert>=2.1"
    python benchmarks/quantized_models.py [--seeds 5]      # some ten minutes on two cores
"""

import argparse
import importlib.util
import json
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from pruned_models import digits

import keras_arch.callbacks
from keras_arch import compression

START = {"batch_size": 32, "epochs": 24, "verbose": 0}
MORE = {"batch_size": 32, "epochs": 12, "verbose": 0}
RATE, LATER_RATE = 1e-3, 3e-4
GOALS = {"qat8_litert": ("control", 0.2), "w4a8_litert": ("float", 0.7), "w4a4": ("float", 1.0)}


def cnn(library):
    layers = library.layers
    return library.Sequential(
        [
            layers.InputLayer((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def compiled(library, model, rate):
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(library.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


def percent(logits, labels):
    return 100 * float((np.asarray(logits).argmax(-1) == labels).mean())


def in_keras(model, data):
    return percent(model.predict(data[2], verbose=0), data[3])


def in_litert(model, data):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        compression.export_litert(model, path, samples=data[2][:32])
        return percent(compression.run_litert(path, data[2]), data[3])


def trained_on(model, seed, data, library=keras, callbacks=()):
    library.utils.set_random_seed(seed)
    compiled(library, model, LATER_RATE).fit(data[0], data[1], callbacks=list(callbacks), **MORE)
    return model


def of_one_seed(seed, data):
    """Name of a case to its test accuracy, in percent."""
    keras.utils.set_random_seed(seed)
    start = compiled(keras, cnn(keras), RATE)
    start.fit(data[0], data[1], **START)
    found = {"start": in_keras(start, data)}
    control = cnn(keras)
    control.set_weights(start.get_weights())
    found["control"] = in_keras(trained_on(control, seed, data), data)
    found["ptq8"] = in_keras(compression.calibrate(compression.quantize(start), data[0][:256]), data)
    cut = compression.Scheme(4, symmetric=False, observer="percentile")
    for name, weights, activations in (("qat8", 8, 8), ("w4a8", 4, 8), ("w4a4", 4, 4), ("w4a4_percentile", 4, cut)):
        q = compression.quantize(start, weights, activations)
        training = keras_arch.callbacks.QuantizationAwareTraining(quantize_at=1, freeze_at=3 * MORE["epochs"] // 4)
        trained_on(q, seed, data, callbacks=[training])
        found[name] = in_keras(q, data)
        if activations == 8:
            found[f"{name}_litert"] = in_litert(q, data)
    if importlib.util.find_spec("tensorflow_model_optimization"):
        found["tfmot"] = of_tfmot(start.get_weights(), seed, data)
    return found


def of_tfmot(weights, seed, data):
    import tensorflow_model_optimization as tfmot
    import tf_keras

    theirs = cnn(tf_keras)
    theirs.set_weights(weights)
    theirs = tfmot.quantization.keras.quantize_model(theirs)
    return in_keras(trained_on(theirs, seed, data, tf_keras), data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    data = digits()
    table = []
    for seed in range(seeds):
        table.append(of_one_seed(seed, data))
        rounded = {name: round(value, 2) for name, value in table[-1].items()}
        print(json.dumps({"case": "seed", "seed": seed, **rounded}), flush=True)
    means = {name: float(np.mean([row[name] for row in table])) for name in table[0]}
    means["float"] = max(means["start"], means["control"])
    print(json.dumps({"case": "mean", "seeds": seeds, **{name: round(mean, 2) for name, mean in means.items()}}))
    for name, (reference, goal) in GOALS.items():
        below = means[reference] - means[name]
        line = {"case": "goal", "name": name, "points_below": round(below, 2), "reference": reference, "goal": goal}
        print(json.dumps({**line, "reached": below <= goal}))


if __name__ == "__main__":
    main()
