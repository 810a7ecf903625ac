"""Cost of explaining MobileNetV2 (random weights, 224 pixels, batch 8) over the plain compiled passes it needs.

Grad-CAM against one forward pass, goal 1.10; integrated gradients and SmoothGrad of n steps against n forward and
backward passes, goal 1.05 at 50 steps (the extra forward passes, two and one, weigh more at fewer); occlusion, RISE and
LIME against as many forward passes of chunks of 32, goal 1.08. Ours and the floor alternate in one process; the ratios
are medians over neighbouring runs, by the clock and by processor time, which other work on the machine disturbs less.
One JSON line a case, with the seconds of the first call. About five minutes on 2 quiet cores:

    python benchmarks/explain.py
    python benchmarks/explain.py --size 96 --rounds 3      # a quick look
    python benchmarks/explain.py --steps 50
    python benchmarks/explain.py --memory                  # peaks of processes, goal 1.1: 500 steps over 50, and
                                                           # 10,000 small images of a stream over 1,000
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from keras_arch.explain import LIME, RISE, GradCAM, IntegratedGradients, Occlusion, Patches, SmoothGrad


def seconds(run):
    """(wall, processor) seconds of one run."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - processor


def paired(ours, floor, rounds):
    """Medians over neighbouring runs, the order changing each time."""
    pairs = []
    for turn in range(rounds):
        runs = (ours, floor) if turn % 2 else (floor, ours)
        times = dict(zip(runs, map(seconds, runs), strict=True))
        pairs.append((*times[ours], *times[floor]))
    return {
        "ratio": statistics.median(pair[0] / pair[2] for pair in pairs),
        "processor_ratio": statistics.median(pair[1] / pair[3] for pair in pairs),
        "seconds": statistics.median(pair[0] for pair in pairs),
        "floor_seconds": statistics.median(pair[2] for pair in pairs),
    }


def model_and_images(size, batch):
    """MobileNetV2 with random weights, and normal noise for it."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None, input_shape=(size, size, 3))
    return model, np.random.default_rng(0).normal(size=(batch, size, size, 3)).astype("float32")


METHODS = {
    "integrated_gradients": lambda steps: IntegratedGradients(steps=steps),
    "smooth_grad": lambda steps: SmoothGrad(samples=steps),
}


def forward_methods(size):
    """Methods that need scores only, with the number of changed versions of each image that they ask for."""
    window = size // 4
    return {
        "occlusion": (Occlusion(window=window, stride=window), 16),
        "rise": (RISE(masks=32), 32),
        "lime": (LIME(samples=32, segments=Patches(window)), 32),
    }


def stream(images):
    """Explain that many images of 32 pixels, batch by batch, from a `tf.data.Dataset`."""
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3, name="maps"), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10))
    noise = tf.data.Dataset.range(images).map(
        lambda k: tf.random.stateless_normal((32, 32, 3), (0, tf.cast(k, "int32")))
    )
    for method in (GradCAM(layer="maps"), IntegratedGradients(steps=4)):
        total = sum(float(part.values.sum()) for part in method.stream(model, noise.batch(100), batch_size=100))
    return total


def peak(name, given):
    """Largest resident memory, in MiB, of a process of its own, of much work over little."""
    few, many = (1_000, 10_000) if name == "stream" else (50, 500)

    def run(steps):
        options = ["--peak", name, "--steps", str(steps), "--size", str(given.size), "--batch", str(given.batch)]
        done = subprocess.run([sys.executable, __file__, *options], capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])

    less, more = run(few), run(many)
    return {"case": f"memory_{name}", "goal": 1.1, "ratio": more / less, f"mib_{many}": more, f"mib_{few}": less}


def main():
    """Print one JSON line a case."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--size", type=int, default=224, help="pixels per side")
    options.add_argument("--batch", type=int, default=8, help="images")
    options.add_argument("--steps", type=int, default=16, help="steps of integrated gradients and SmoothGrad")
    options.add_argument("--rounds", type=int, default=15, help="pairs of runs of Grad-CAM")
    options.add_argument("--memory", action="store_true", help="measure memory in place of time")
    options.add_argument("--peak", choices=[*METHODS, "stream"], help="only run one method and print the peak in MiB")
    given = options.parse_args()
    if given.peak == "stream":
        stream(given.steps)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    if given.peak:
        model, x = model_and_images(given.size, given.batch)
        METHODS[given.peak](given.steps).explain(model, x, 0)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    if given.memory:
        for name in [*METHODS, "stream"]:
            report(peak(name, given), given)
        return

    model, x = model_and_images(given.size, given.batch)
    classes = np.arange(given.batch)

    @tf.function
    def forward(images):
        return model(images, training=False)

    @tf.function
    def forward_and_backward(images):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            score = tf.reduce_sum(tf.gather(model(images, training=False), classes, batch_dims=1))
        return tape.gradient(score, images)

    def passes():
        images = tf.constant(x)
        for _ in range(given.steps):
            gradient = forward_and_backward(images)
        return gradient.numpy()

    grad_cam = GradCAM()
    cases = [("grad_cam", lambda: grad_cam.explain(model, x, classes), lambda: forward(tf.constant(x)).numpy(), 1.10)]
    for name, make in METHODS.items():
        method = make(given.steps)
        cases.append((f"{name}_{given.steps}", lambda method=method: method.explain(model, x, classes), passes, 1.05))
    many = tf.constant(np.tile(x, (4, 1, 1, 1)))  # chunks of 32
    for name, (method, versions) in forward_methods(given.size).items():
        count = versions * given.batch // len(many)

        def forwards(count=count):
            forward(tf.constant(x))
            for _ in range(count):
                result = forward(many)
            return result.numpy()

        cases.append((name, lambda method=method: method.explain(model, x, classes), forwards, 1.08))
    for name, ours, floor, goal in cases:
        first, _ = seconds(ours)
        floor()
        rounds = given.rounds if name == "grad_cam" else max(3, given.rounds // 5)
        report({"case": name, "goal": goal, **paired(ours, floor, rounds), "first_call": first}, given)


def report(line, given):
    """Print one case."""
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in line.items()}
    print(json.dumps({**rounded, "size": given.size, "batch": given.batch}), flush=True)


if __name__ == "__main__":
    main()
