"""Cells and attention of TensorFlow Addons 0.23 under tf-keras, as a process: `python addons_cells.py given answer`.

Addons needs TF_USE_LEGACY_KERAS=1, which must not reach a process that uses Keras 3. given is a folder with cells.json
and <case>.npz, answer gets <case>.npz.

A case {"cell": name in tfa.rnn, "arguments": of its constructor} comes with x (B, T, D), slope (B, T, N) and each
weight under the end of its name, such as "kernel" or "state_norm/gamma". The answer: outputs (B, T, N), and the
gradient of sum(slope outputs) under the name of each trainable weight.

A case {"mechanism": name in tfa.seq2seq, "arguments": of its constructor, "width": H, "units": N} is an
AttentionWrapper around a SimpleRNNCell of H units, with a tanh layer of N units for the attention vector. It comes with
x, memory (B, S, M), lengths (B,) and the weights named in `attention`. The answer: outputs (B, T, N), alignments
(B, T, S).
"""

import json
import os
import pathlib
import sys


def recurrent(tf, tfa, made, tensors):
    x, slope = tensors.pop("x"), tensors.pop("slope")
    layer = tf.keras.layers.RNN(getattr(tfa.rnn, made["cell"])(**made["arguments"]), return_sequences=True)
    layer.build(x.shape)
    variables = {}
    for name in tensors:
        (variables[name],) = (v for v in layer.weights if f"/{v.name}".endswith(f"/{name}:0"))
    assert len(variables) == len(layer.weights), [v.name for v in layer.weights]
    for name, variable in variables.items():
        variable.assign(tensors[name])
    with tf.GradientTape() as tape:
        outputs = layer(x)
        loss = tf.reduce_sum(outputs * slope)
    gradients = tape.gradient(loss, {name: v for name, v in variables.items() if v.trainable})
    return {"outputs": outputs.numpy(), **{name: gradient.numpy() for name, gradient in gradients.items()}}


def attention(tf, tfa, made, tensors):
    x, memory, lengths = (tensors.pop(name) for name in ("x", "memory", "lengths"))
    cell = tf.keras.layers.SimpleRNNCell(made["width"])
    mechanism = getattr(tfa.seq2seq, made["mechanism"])(
        memory=memory, memory_sequence_length=lengths, **made["arguments"]
    )
    product = tf.keras.layers.Dense(made["units"], activation="tanh", use_bias=False)
    wrapper = tfa.seq2seq.AttentionWrapper(cell, mechanism, attention_layer=product)

    def steps():
        state, outputs, alignments = wrapper.get_initial_state(batch_size=len(x), dtype="float32"), [], []
        for t in range(x.shape[1]):
            output, state = wrapper(x[:, t], state)
            outputs.append(output)
            alignments.append(state.alignments)
        return {"outputs": tf.stack(outputs, 1).numpy(), "alignments": tf.stack(alignments, 1).numpy()}

    steps()  # creates the weights
    named = dict(zip(("kernel", "recurrent_kernel", "bias"), cell.weights, strict=True))
    named |= {"memory_layer": mechanism.memory_layer.kernel, "attention_layer": product.kernel}
    if mechanism.query_layer is not None:
        named["query_layer"] = mechanism.query_layer.kernel
    for name, attribute in (
        ("attention_v", "attention_v"),
        ("attention_g", "attention_g"),  # of Bahdanau's
        ("attention_g", "scale_weight"),  # of Luong's
        ("attention_b", "attention_b"),
    ):
        if getattr(mechanism, attribute, None) is not None:
            named[name] = getattr(mechanism, attribute)
    assert named.keys() == tensors.keys(), (sorted(named), sorted(tensors))
    for name, variable in named.items():
        variable.assign(tensors[name])
    mechanism.setup_memory(memory, lengths)
    return steps()


def main(given, answer):
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import numpy as np
    import tensorflow as tf

    assert tf.keras.layers.RNN.__module__.startswith("tf_keras.")  # which this loads
    # Addons imports private parts of Keras by the name that tf-keras had up to TensorFlow 2.15.
    for name in [name for name in sys.modules if name.split(".")[0] == "tf_keras"]:
        sys.modules[name.replace("tf_keras", "keras", 1)] = sys.modules[name]
    import tensorflow_addons as tfa

    for case, made in json.loads((given / "cells.json").read_text()).items():
        compute = attention if "mechanism" in made else recurrent
        np.savez(answer / f"{case}.npz", **compute(tf, tfa, made, dict(np.load(given / f"{case}.npz"))))


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))
