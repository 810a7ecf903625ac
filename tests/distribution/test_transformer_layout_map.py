import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

import keras_arch as ka

MESH = keras.distribution.DeviceMesh((2, 4), ("batch", "model"), devices=[f"cpu:{i}" for i in range(8)])
ROOT = pathlib.Path(__file__).resolve().parents[2]


def run_python(code, **environment):
    """Run code in a process of its own, which alone can be given several devices, and read what it prints."""
    settings = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=settings, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


MODEL = """
import json, keras, numpy as np, keras_arch as ka

def model():
    sources, targets = keras.Input((6,), dtype="int32"), keras.Input((5,), dtype="int32")
    embed = keras.layers.Embedding(16, 8, name="tokens")
    memory = ka.layers.TransformerEncoderBlock(4, 12)(embed(sources))
    x = ka.layers.TransformerDecoderBlock(4, 12, feed_forward="swiglu", norm_placement="post")(embed(targets), memory)
    model = keras.Model([sources, targets], keras.layers.Dense(16)(x))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    return model

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
inputs = [rng.integers(0, 16, (8, length)).astype("int32") for length in (6, 5)]
wanted = rng.standard_normal((8, 5, 16)).astype("float32")

def results(model):
    model.fit(inputs, wanted, batch_size=8, shuffle=False, verbose=0)
    return [model.predict(inputs, verbose=0), *(keras.ops.convert_to_numpy(weight) for weight in model.weights)]

alone = model()
start = alone.get_weights()
expected = results(alone)
keras.utils.clear_session()
"""
SPREAD = """
mesh = keras.distribution.DeviceMesh((2, 4), ("batch", "model"))
layout = ka.distribution.transformer_layout_map(mesh, vocabularies=["tokens"])
keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"))
spread = model()
spread.set_weights(start)
got = results(spread)
error = max(float(np.abs(a - b).max()) for a, b in zip(expected, got, strict=True))
moved = max(float(np.abs(a - b).max()) for a, b in zip(start, got[1:], strict=True))
parts = {w.path: w.value.size // w.value.addressable_shards[0].data.size for w in spread.weights}
print(json.dumps({"error": error, "moved": moved, "parts": parts}))
"""
MIRRORED = (
    """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""
    + MODEL
    + """
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    spread = model()
    spread.set_weights(start)
got = results(spread)
error = max(float(np.abs(a - b).max()) for a, b in zip(expected, got, strict=True))
moved = max(float(np.abs(a - b).max()) for a, b in zip(start, got[1:], strict=True))
print(json.dumps({"error": error, "moved": moved, "replicas": strategy.num_replicas_in_sync}))
"""
)


@pytest.mark.oracle
@pytest.mark.slow
def test_model_parallel_on_eight_devices_equals_one_device():
    if importlib.util.find_spec("jax") is None:
        pytest.skip("needs the extra keras-arch[oracles]")
    flags = "--xla_force_host_platform_device_count=8"
    got = run_python(MODEL + SPREAD, KERAS_BACKEND="jax", JAX_PLATFORMS="cpu", XLA_FLAGS=flags)
    assert got["error"] <= 1e-5
    assert got["moved"] > 1e-2  # the step changed the weights that are compared
    split = ("query", "key", "value", "gate", "intermediate_dense")
    for path, parts in got["parts"].items():
        layer, weight = path.split("/")[-2:]
        rows = weight == "kernel" and layer in ("attention_output", "output_dense", "output")
        assert parts == (4 if layer in split or rows or layer == "tokens" else 1), path


@pytest.mark.slow
def test_mirrored_strategy_on_two_devices_equals_one_device():
    got = run_python(MIRRORED, KERAS_BACKEND="tensorflow")
    assert got["replicas"] == 2
    assert got["error"] <= 1e-5
    assert got["moved"] > 1e-2


@pytest.mark.parametrize("split_key_value", [True, False])
def test_every_weight_of_the_blocks_meets_one_rule_at_most_and_of_its_rank(split_key_value):
    layout = ka.distribution.transformer_layout_map(MESH, split_key_value=split_key_value)
    options = {"mlp": {}, "swiglu": {"use_bias": True, "norm_placement": "sandwich", "layer_scale": 0.1}}
    for feed_forward, extra in options.items():
        block = ka.layers.TransformerDecoderBlock(2, 9, feed_forward=feed_forward, **extra)
        block.build((2, 4, 6), (2, 5, 3))
        split = set()
        for weight in block.weights:
            axes = layout[weight.path]  # raises where two rules fit
            if axes is not None:
                assert len(axes.axes) == len(weight.shape), weight.path
                split.add("/".join(weight.path.split("/")[-2:]))
        names = [f"{name}/{part}" for name in ("query", "key", "value") for part in ("kernel", "bias")]
        names = [name for name in names if split_key_value or name.startswith("query")] + ["attention_output/kernel"]
        if feed_forward == "mlp":
            names += ["intermediate_dense/kernel", "intermediate_dense/bias", "output_dense/kernel"]
        else:
            names += ["gate/kernel", "gate/bias", "value/kernel", "value/bias", "output/kernel"]
        assert split == set(names)


def test_layers_of_other_models_are_left_alone():
    layout = ka.distribution.transformer_layout_map(MESH, "batch", vocabularies=["tokens"])
    for path in ("output/kernel", "value/kernel", "model/dense/kernel", "positions/embeddings", "my_tokens/embeddings"):
        assert layout[path] is None
    assert layout["tokens/embeddings"].axes == ("batch", None)
    assert layout["model/multi_head_attention_3/key/kernel"].axes == (None, "batch", None)
    assert layout["model/attention_norm/gamma"] is None


def test_a_mesh_without_the_axis_is_refused():
    with pytest.raises(
        ValueError, match=r"model_axis must be an axis of the mesh, one of \('batch', 'model'\); received"
    ):
        ka.distribution.transformer_layout_map(MESH, "heads")
