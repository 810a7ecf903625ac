"""Time and memory of `ka.layers.MultiHeadAttention` as ratios of `keras.layers.MultiHeadAttention` and other peers.

All layers hold the same weights and alternate in one process, each call compiled by tf.function; a ratio is the median
of the ratios of neighbouring runs, below 1 where ours is faster. One JSON line a case. With PyTorch installed, the long
cases also run its scaled_dot_product_attention between equal projections; with KerasHub, its CachedMultiHeadAttention.
Memory is the peak of a fresh process above what it held before its first step. About ten minutes on 2 quiet cores, or
name the parts you want:

    python benchmarks/attention.py [dense] [long] [window] [bfloat16] [memory]
"""

import gc
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import tensorflow as tf

import keras_arch.layers

DENSE = (8, 512, 512, 8)  # batch, length, width, heads
LONG = (1, 4096, 256, 4)
WINDOW = 256


def compiled(layer, call, x):
    """(forward, forward and backward) as compiled functions without arguments, and each returning one array."""

    @tf.function
    def forward(x):
        return keras.tree.flatten(layer(x, x, **call))[0]

    @tf.function
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.cast(forward(x), tf.float32)) * 1e-3
        return tape.gradient(loss, [x, *(w.value for w in layer.trainable_weights)])

    return lambda: tf.cast(forward(x), tf.float32).numpy(), lambda: both(x)[0].numpy()


def by_torch(layer, x, causal):
    """The same by PyTorch: equal projections around scaled_dot_product_attention; None without PyTorch."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(os.cpu_count())
    features, heads = x.shape[-1], layer.num_heads
    kernels = [torch.tensor(w).reshape(features, features).requires_grad_(True) for w in layer.get_weights()[::2]]
    source = torch.tensor(x.numpy()).requires_grad_(True)

    def run():
        parts = [(source @ kernel).view(*x.shape[:2], heads, -1).transpose(1, 2) for kernel in kernels[:3]]
        output = torch.nn.functional.scaled_dot_product_attention(*parts, is_causal=causal)
        return output.transpose(1, 2).reshape(*x.shape) @ kernels[3]

    def forward():
        with torch.no_grad():
            return run().numpy()

    def both():
        source.grad = None
        for kernel in kernels:
            kernel.grad = None
        (run().sum() * 1e-3).backward()
        return source.grad.numpy()

    return forward, both


def by_keras_hub(layer, x, causal):
    """KerasHub's CachedMultiHeadAttention with the same weights; None without KerasHub."""
    if importlib.util.find_spec("keras_hub") is None:
        return None
    import keras_hub

    peer = keras_hub.layers.CachedMultiHeadAttention(layer.num_heads, layer.key_dim)
    peer.build(x.shape, x.shape)
    peer.set_weights(layer.get_weights())
    length = x.shape[1]
    mask = {"attention_mask": np.tri(length, dtype="bool")[None]} if causal else {}
    return compiled(peer, mask, x)


def paired(runs, rounds):
    """Median of the ratios of "ours" to each other run, taken in turn, and the median times in ms."""
    times = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name in runs if turn % 2 else reversed(runs):
            start = time.perf_counter()
            runs[name]()
            if turn >= 2:
                times[name].append(time.perf_counter() - start)
    line = {}
    for name in runs:
        if name != "ours":
            ratios = (a / b for a, b in zip(times["ours"], times[name], strict=True))
            line[f"ratio_to_{name}"] = round(statistics.median(ratios), 3)
    return line | {f"{name}_ms": round(statistics.median(times[name]) * 1e3, 1) for name in runs}


def pair(shape, ours=None, peer=None, policy="float32"):
    """Our layer and Keras's with the same weights, and an input."""
    batch, length, width, heads = shape
    x = tf.constant(np.random.default_rng(0).standard_normal((batch, length, width)).astype("float32"))
    layers = [
        keras_arch.layers.MultiHeadAttention(heads, width // heads, dtype=policy, **(ours or {})),
        keras.layers.MultiHeadAttention(heads, width // heads, dtype=policy, **(peer or ours or {})),
    ]
    for layer in layers:
        layer.build(x.shape, x.shape)
    layers[0].set_weights(layers[1].get_weights())
    return (*layers, x)


def report(name, shape, contenders, rounds=(9, 7)):
    """Print a line for the forward pass and one for forward and backward."""
    contenders = {peer: runs for peer, runs in contenders.items() if runs}
    results = {peer: runs[0]() for peer, runs in contenders.items()}
    errors = {f"error_to_{peer}": float(np.abs(results["ours"] - result).max()) for peer, result in results.items()}
    del errors["error_to_ours"]
    for step, passes in enumerate(("forward", "forward+backward")):
        line = {"case": name, "pass": passes, "shape": list(shape)}
        line |= paired({peer: runs[step] for peer, runs in contenders.items()}, rounds[step])
        print(json.dumps(line | errors), flush=True)


def dense():
    batch, length, _, _ = DENSE
    padding = np.arange(length)[None] < np.linspace(length // 2, length, batch)[:, None]
    ours, peer, x = pair(DENSE)
    calls = {
        "dense": {},
        "dense causal": {"use_causal_mask": True},
        "dense padded": {"value_mask": padding},
        "dense scores": {"return_attention_scores": True},
    }
    for name, call in calls.items():
        report(name, DENSE, {"ours": compiled(ours, call, x), "keras": compiled(peer, call, x)}, (21, 11))


def long():
    for name, causal in (("long", False), ("long causal", True)):
        ours, peer, x = pair(LONG)
        call = {"use_causal_mask": causal}
        contenders = {"ours": compiled(ours, call, x), "keras": compiled(peer, call, x)}
        contenders |= {"torch": by_torch(peer, x, causal), "keras_hub": by_keras_hub(peer, x, causal)}
        report(name, LONG, contenders)


def window():
    call = {"use_causal_mask": True}
    ours, peer, x = pair(LONG, {"sliding_window": WINDOW})
    report(f"window {WINDOW} causal", LONG, {"ours": compiled(ours, call, x), "keras": compiled(peer, call, x)})
    _, _, longer = pair((1, 2 * LONG[1], *LONG[2:]))
    for step, passes in enumerate(("forward", "forward+backward")):
        runs = {"ours": compiled(ours, call, longer)[step], "half": compiled(ours, call, x)[step]}
        line = {"case": f"window {WINDOW}, 8192 steps to 4096", "pass": passes}
        print(json.dumps(line | paired(runs, 9)), flush=True)


def bfloat16():
    for name, causal in (("bfloat16", False), ("bfloat16 causal", True)):
        call = {"use_causal_mask": causal}
        full, _, x = pair(LONG)
        low, peer, _ = pair(LONG, policy="mixed_bfloat16")
        low.set_weights(full.get_weights())
        peer.set_weights(full.get_weights())
        contenders = {"ours": compiled(low, call, x), "our_float32": compiled(full, call, x)}
        report(name, LONG, contenders | {"keras_bfloat16": compiled(peer, call, x)})


def memory(length=2 * LONG[1]):
    peaks = {}
    for name in ("ours", "keras", "torch"):
        command = [sys.executable, __file__, "peak", name, str(length)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            peaks[name] = float(done.stdout.split()[-1])
    line = {"case": "memory", "pass": "forward+backward", "length": length}
    line |= {f"{name}_mb": round(peak, 1) for name, peak in peaks.items()}
    print(json.dumps(line | {"ratio_to_keras": round(peaks["ours"] / peaks["keras"], 4)}), flush=True)


def peak(name, length):
    """Print by how many MB one forward and backward step raises this process's highest memory."""
    ours, peer, x = pair((1, int(length), *LONG[2:]))
    runs = by_torch(peer, x, False) if name == "torch" else compiled(ours if name == "ours" else peer, {}, x)
    if runs is None:
        return
    gc.collect()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the highest memory starts anew
    before = resident("VmRSS")
    runs[1]()
    print(resident("VmHWM") - before)


def resident(field):
    """A field of Linux's account of this process, in MB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))


if __name__ == "__main__":
    if sys.argv[1:2] == ["peak"]:
        peak(*sys.argv[2:])
    else:
        parts = {"dense": dense, "long": long, "window": window, "bfloat16": bfloat16, "memory": memory}
        for part in sys.argv[1:] or parts:
            parts[part]()
