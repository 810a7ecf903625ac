"""Cells and attention against TensorFlow Addons' own, run live with the weights copied."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import keras
import numpy as np
import pytest

from keras_arch import layers

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow Addons' peer runs on TensorFlow", allow_module_level=True)

import tensorflow as tf

pytestmark = pytest.mark.oracle

BATCH, LENGTH, FEATURES, UNITS, STEPS, MEMORY = 2, 5, 4, 3, 3, 2
SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "oracles" / "addons_cells.py"


@dataclasses.dataclass(frozen=True)
class Peer:
    """A cell of ours, one of Addons, and the names that Addons gives our weights.

    Args:
        cell: makes ours.
        name: of theirs.
        arguments: of theirs, beside units.
        names: of their weights, in the order of ours.
    """

    cell: Callable[[], keras.layers.Layer]
    name: str
    arguments: dict
    names: tuple[str, ...]


PRODUCTS = ("kernel", "recurrent_kernel", "bias")
NORMS = tuple(f"{norm}_norm/{part}" for norm in ("kernel", "recurrent", "state") for part in ("gamma", "beta"))
PEEPHOLES = tuple(f"{gate}_gate_peephole_weights" for gate in ("input", "forget", "output"))
PEERS = {
    "layer norm lstm": Peer(lambda: layers.LayerNormLSTMCell(UNITS), "LayerNormLSTMCell", {}, (*PRODUCTS, *NORMS)),
    "layer norm simple": Peer(
        lambda: layers.LayerNormSimpleRNNCell(UNITS, norm_epsilon=1e-3),
        "LayerNormSimpleRNNCell",
        {"layernorm_epsilon": 1e-3},
        (*PRODUCTS, "gamma"),
    ),
    "peephole": Peer(lambda: layers.PeepholeLSTMCell(UNITS), "PeepholeLSTMCell", {}, (*PRODUCTS, *PEEPHOLES)),
    "nas": Peer(lambda: layers.NASCell(UNITS, use_bias=True), "NASCell", {"use_bias": True}, PRODUCTS),
    "projected nas": Peer(
        lambda: layers.NASCell(UNITS, projection=2),
        "NASCell",
        {"projection": 2},
        ("kernel", "recurrent_kernel", "projection_weights"),
    ),
    "echo state": Peer(
        lambda: layers.EchoStateCell(UNITS, connectivity=0.5, leak_rate=0.3),
        "ESNCell",
        {"connectivity": 0.5, "leaky": 0.3},
        PRODUCTS,
    ),
}
MECHANISMS = {
    "luong": ("LuongAttention", {}),
    "scaled_luong": ("LuongAttention", {"scale": True}),
    "bahdanau": ("BahdanauAttention", {}),
    "normed_bahdanau": ("BahdanauAttention", {"normalize": True}),
}


def randomized(layer, *shapes):
    layer.build(*shapes)
    rng = np.random.default_rng(len(layer.weights))
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def recurrent(name):
    layer = randomized(keras.layers.RNN(PEERS[name].cell(), return_sequences=True), (BATCH, LENGTH, FEATURES))
    case = {"cell": PEERS[name].name, "arguments": {"units": UNITS, **PEERS[name].arguments}}
    return layer, case, dict(zip(PEERS[name].names, layer.get_weights(), strict=True))


def attending(score):
    kind, arguments = MECHANISMS[score]
    cell = layers.AttentionCell(keras.layers.SimpleRNNCell(UNITS), 4, score)
    layer = layers.AttentionRNN(cell, return_sequences=True, return_attention_scores=True)
    randomized(layer, (BATCH, LENGTH, FEATURES), (BATCH, STEPS, MEMORY))
    weights = {name: weight.numpy() for name, weight in zip(PRODUCTS, cell.cell.weights, strict=True)}
    weights |= {"memory_layer": cell.memory_layer.kernel.numpy()}
    weights |= {"attention_layer": cell.attention_layer.kernel.numpy()}
    if "bahdanau" in score:
        weights |= {"query_layer": cell.query_layer.kernel.numpy(), "attention_v": cell.direction.numpy()[:, 0]}
    weights |= {} if cell.gain is None else {"attention_g": cell.gain.numpy()}
    weights |= {} if cell.shift is None else {"attention_b": cell.shift.numpy()}
    case = {"mechanism": kind, "arguments": {"units": UNITS, **arguments}, "width": UNITS, "units": 4}
    return layer, case, weights


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """For each name: our layer, its inputs, and what Addons answered. One process for all: it imports TensorFlow."""
    if importlib.util.find_spec("tensorflow_addons") is None:
        pytest.skip("needs the extra keras-arch[peers], on Python 3.11")
    given, answer = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("answer")
    rng, cases, asked = np.random.default_rng(0), {}, {}
    for name in (*PEERS, *MECHANISMS):
        layer, cases[name], weights = (recurrent if name in PEERS else attending)(name)
        inputs = {"x": rng.normal(size=(BATCH, LENGTH, FEATURES)).astype("float32")}
        if name in MECHANISMS:
            inputs["memory"] = rng.normal(size=(BATCH, STEPS, MEMORY)).astype("float32")
            inputs["lengths"] = np.array([3, 2])
        else:
            inputs["slope"] = rng.normal(size=layer.compute_output_shape(inputs["x"].shape)).astype("float32")
        np.savez(given / f"{name}.npz", **inputs, **weights)
        asked[name] = layer, inputs
    (given / "cells.json").write_text(json.dumps(cases), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    command = [sys.executable, str(SCRIPT), str(given), str(answer)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: (*question, dict(np.load(answer / f"{name}.npz"))) for name, question in asked.items()}


@pytest.mark.parametrize("name", PEERS)
def test_outputs_and_gradients_of_cells_are_those_of_addons(answers, name):
    layer, inputs, answer = answers[name]
    with tf.GradientTape() as tape:
        outputs = layer(inputs["x"])
        loss = tf.reduce_sum(outputs * inputs["slope"])
    gradients = tape.gradient(loss, [weight.value for weight in layer.trainable_weights])
    np.testing.assert_allclose(outputs, answer.pop("outputs"), rtol=1e-4, atol=2e-6)
    trained = [name for name, weight in zip(PEERS[name].names, layer.weights, strict=True) if weight.trainable]
    assert set(trained) == set(answer)
    for weight, gradient in zip(trained, gradients, strict=True):
        scale = np.abs(answer[weight]).max()
        np.testing.assert_allclose(gradient, answer[weight], rtol=1e-3, atol=1e-5 * scale, err_msg=weight)


@pytest.mark.parametrize("score", MECHANISMS)
def test_outputs_and_alignments_are_those_of_addons(answers, score):
    layer, inputs, answer = answers[score]
    visible = np.arange(STEPS) < inputs["lengths"][:, None]
    output, alignments = layer(inputs["x"], inputs["memory"], memory_mask=visible)
    np.testing.assert_allclose(output, answer["outputs"], rtol=1e-4, atol=2e-6)
    np.testing.assert_allclose(alignments, answer["alignments"], rtol=1e-4, atol=2e-6)
