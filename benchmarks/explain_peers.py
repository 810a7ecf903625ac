"""Explaining MobileNetV2 (random weights, 224 pixels, batch 8), ours beside tf-explain, tf-keras-vis, Xplique, saliency
and Captum.

Each case is a method with equal settings: Grad-CAM at the last convolution, integrated gradients of 50 steps,
SmoothGrad of 50 samples, occlusion by 56 x 56 windows with stride 56. Ours, the peer and the plain compiled passes that
the method needs (the floor: forward for Grad-CAM and occlusion, forward and backward for the others, as many as
samples) alternate in one process; printed are medians of ratios to the floor over the rounds. Captum explains the same
network where Keras runs on PyTorch, beside plain passes of PyTorch. What does not run is shown with its error.

    pip install tf-explain tf-keras-vis xplique saliency captum opencv-python-headless       # some need --no-deps
    python benchmarks/explain_peers.py
    KERAS_BACKEND=torch python benchmarks/explain_peers.py                                   # Captum
    python benchmarks/explain_peers.py --size 96 --rounds 2 --steps 10     # a quick look
"""

import argparse
import json
import os
import statistics
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_arch import explain

LAST = "out_relu"


def seconds(run):
    """Of one run by the clock."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(case, peer, runs, rounds):
    """One JSON line: medians of the ratios of ours and the peer's to the floor, all three in turn."""
    try:
        first = {name: seconds(run) for name, run in runs.items()}
        rows = []
        for turn in range(rounds):
            order = list(runs)[turn % 3 :] + list(runs)[: turn % 3]
            rows.append({name: seconds(runs[name]) for name in order})
        ratios = {
            name: round(statistics.median(row[name] / row["floor"] for row in rows), 3)
            for name in runs
            if name != "floor"
        }
        line = {"case": case, "peer": peer, **ratios, "floor_s": round(statistics.median(r["floor"] for r in rows), 3)}
        line |= {f"first_{name}_s": round(value, 2) for name, value in first.items() if name != "floor"}
    except Exception as error:  # the peer may fail in any way: that is the result
        line = {"case": case, "peer": peer, "error": f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"}
    print(json.dumps(line), flush=True)


def floors(model, x, classes, steps, windows):
    """Plain compiled passes: forward, and forward and backward, as many as a method needs."""
    import tensorflow as tf

    images = tf.constant(x)

    @tf.function
    def forward(batch):
        return model(batch, training=False)

    @tf.function
    def forward_and_backward(batch):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(batch)
            score = tf.reduce_sum(tf.gather(model(batch, training=False), classes, batch_dims=1))
        return tape.gradient(score, batch)

    return {
        "grad_cam": lambda: forward(images).numpy(),
        "integrated_gradients": lambda: [forward_and_backward(images) for _ in range(steps)][-1].numpy(),
        "smooth_grad": lambda: [forward_and_backward(images) for _ in range(steps)][-1].numpy(),
        "occlusion": lambda: [forward(images) for _ in range(windows)][-1].numpy(),
    }


def ours(model, x, classes, steps, window):
    """The four methods of this package."""
    methods = {
        "grad_cam": explain.GradCAM(layer=LAST),
        "integrated_gradients": explain.IntegratedGradients(steps=steps),
        "smooth_grad": explain.SmoothGrad(explain.Saliency(), samples=steps),
        "occlusion": explain.Occlusion(window=window, stride=window),
    }
    return {
        name: lambda method=method: method.explain(model, x, classes, batch_size=len(x))
        for name, method in methods.items()
    }


def tf_explain_runs(model, x, classes, steps, window):
    """tf-explain takes one class for the batch."""
    from tf_explain.core.grad_cam import GradCAM
    from tf_explain.core.integrated_gradients import IntegratedGradients
    from tf_explain.core.occlusion_sensitivity import OcclusionSensitivity
    from tf_explain.core.smoothgrad import SmoothGrad

    data = (x, None)
    return {
        "grad_cam": lambda: GradCAM().explain(data, model, 0, layer_name=LAST),
        "integrated_gradients": lambda: IntegratedGradients().explain(data, model, 0, n_steps=steps),
        "smooth_grad": lambda: SmoothGrad().explain(data, model, 0, num_samples=steps),
        "occlusion": lambda: OcclusionSensitivity(batch_size=len(x)).explain(data, model, 0, window),
    }


def tf_keras_vis_runs(model, x, classes, steps, window):
    """Grad-CAM and SmoothGrad; it has neither of the others."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.scores import CategoricalScore

    score = CategoricalScore([int(label) for label in classes])
    return {
        "grad_cam": lambda: Gradcam(model)(score, x, penultimate_layer=LAST),
        "smooth_grad": lambda: Saliency(model)(score, x, smooth_samples=steps),
    }


def xplique_runs(model, x, classes, steps, window):
    """Explainers are made once and used again."""
    import tensorflow as tf
    from xplique.attributions import GradCAM, IntegratedGradients, Occlusion, SmoothGrad

    labels = tf.one_hot(classes, model.output_shape[-1])
    size = len(x)
    made = {
        "grad_cam": lambda: GradCAM(model, conv_layer=LAST, batch_size=size),
        "integrated_gradients": lambda: IntegratedGradients(model, steps=steps, batch_size=size),
        "smooth_grad": lambda: SmoothGrad(model, nb_samples=steps, batch_size=size),
        "occlusion": lambda: Occlusion(model, patch_size=window, patch_stride=window, batch_size=size),
    }
    kept = {}

    def run(name):
        if name not in kept:
            kept[name] = made[name]()
        return kept[name](x, labels)

    return {name: lambda name=name: run(name) for name in made}


def saliency_runs(model, x, classes, steps, window):
    """One image at a time, gradients in batches; it has no maps of several classes at once."""
    import tensorflow as tf
    from saliency import core

    @tf.function
    def gradient(batch, label):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(batch)
            score = tf.gather(model(batch, training=False), label, axis=1)
        return tape.gradient(score, batch)

    def call(batch, call_model_args=None, expected_keys=None):
        batch = tf.convert_to_tensor(np.asarray(batch, "float32"))
        return {core.INPUT_OUTPUT_GRADIENTS: gradient(batch, tf.constant(call_model_args)).numpy()}

    def integrated():
        method = core.IntegratedGradients()
        for image, label in zip(x, classes, strict=True):
            method.GetMask(image, call, int(label), x_steps=steps, x_baseline=np.zeros_like(image), batch_size=len(x))

    def smooth():
        method = core.GradientSaliency()
        for image, label in zip(x, classes, strict=True):
            method.GetSmoothedMask(image, call, int(label), nsamples=steps)

    return {"integrated_gradients": integrated, "smooth_grad": smooth}


def captum_runs(model, images, classes, steps, window):
    """Captum and plain passes of the same PyTorch module, which is Keras's."""
    import torch
    from captum.attr import IntegratedGradients, LayerGradCam, NoiseTunnel, Occlusion, Saliency

    x, labels = torch.from_numpy(images), torch.tensor(classes)
    layer = model.get_layer(LAST)

    def forward():
        with torch.no_grad():
            return model(x)

    def both():
        points = x.clone().requires_grad_()
        score = model(points)[torch.arange(len(x)), labels].sum()
        return torch.autograd.grad(score, points)

    windows = (images.shape[1] // window) ** 2
    floor = {
        "grad_cam": forward,
        "integrated_gradients": lambda: [both() for _ in range(steps)],
        "smooth_grad": lambda: [both() for _ in range(steps)],
        "occlusion": lambda: [forward() for _ in range(windows)],
    }
    noisy, size, patch = NoiseTunnel(Saliency(model)), {"internal_batch_size": len(x)}, (window, window, 3)
    return floor, {
        "grad_cam": lambda: LayerGradCam(model, layer).attribute(x, labels),
        "integrated_gradients": lambda: IntegratedGradients(model).attribute(x, 0.0, labels, n_steps=steps, **size),
        "smooth_grad": lambda: noisy.attribute(
            x, nt_type="smoothgrad", nt_samples=steps, nt_samples_batch_size=1, target=labels
        ),
        "occlusion": lambda: Occlusion(model).attribute(x, patch, patch, target=labels),
    }


def main():
    """Print one JSON line for each case and peer."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--size", type=int, default=224, help="pixels per side")
    options.add_argument("--batch", type=int, default=8, help="images")
    options.add_argument("--steps", type=int, default=50, help="of integrated gradients and SmoothGrad")
    options.add_argument("--rounds", type=int, default=3, help="rounds of the three in turn")
    given = options.parse_args()
    warnings.simplefilter("ignore")
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None, input_shape=(given.size, given.size, 3))
    x = np.random.default_rng(0).normal(size=(given.batch, given.size, given.size, 3)).astype("float32")
    classes = np.arange(given.batch)
    window = given.size // 4
    mine = ours(model, x, classes, given.steps, window)
    if keras.backend.backend() == "torch":
        floor, runs = captum_runs(model, x, classes, given.steps, window)
        for case, run in runs.items():
            compare(case, "captum", {"ours": mine[case], "theirs": run, "floor": floor[case]}, given.rounds)
        return
    floor = floors(model, x, classes, given.steps, 16)
    peers = {
        "tf-explain": tf_explain_runs,
        "tf-keras-vis": tf_keras_vis_runs,
        "xplique": xplique_runs,
        "saliency": saliency_runs,
    }
    for peer, make in peers.items():
        try:
            runs = make(model, x, classes, given.steps, window)
        except Exception as error:
            print(json.dumps({"peer": peer, "error": f"{type(error).__name__}: {error}"}), flush=True)
            continue
        for case, run in runs.items():
            compare(case, peer, {"ours": mine[case], "theirs": run, "floor": floor[case]}, given.rounds)


if __name__ == "__main__":
    main()
