"""The battery accepts what Keras does right, names what it does not, and refuses wrong arguments."""

import keras
import numpy as np
import pytest
from oracles.scaling_layer import Scaling

from keras_arch.testing import CHECK_NAMES, check_layer
from keras_arch.testing.layer.check import LayerCheckError

pytestmark = pytest.mark.backend
LORA = {"lora_rank": "written only when LoRA is on", "lora_alpha": "written only when LoRA is on"}
L = keras.layers
STOCK = {
    "Dense": (L.Dense, {"units": 3, "activation": "tanh"}, (2, 4), {"unsaved_arguments": LORA}),
    "Conv2D": (L.Conv2D, {"filters": 2, "kernel_size": 2}, (2, 4, 5, 3), {"unsaved_arguments": LORA}),
    "Embedding": (
        L.Embedding,
        {"input_dim": 4, "output_dim": 3, "mask_zero": True},
        (2, 5),
        {"input_dtype": "int32", "unsaved_arguments": {**LORA, "weights": "initial values, saved as weights"}},
    ),
    "LayerNormalization": (L.LayerNormalization, {"epsilon": 1e-2}, (2, 5, 4), {"expect": {"trainable_weights": 2}}),
    "MultiHeadAttention": (
        L.MultiHeadAttention,
        {"num_heads": 2, "key_dim": 3},
        {"query_shape": (2, 5, 4), "value_shape": (2, 4, 4)},
        {"unsaved_arguments": {"flash_attention": "depends on the machine"}},
    ),
    "SimpleRNN": (L.SimpleRNN, {"units": 2}, (2, 4, 3), {"unsaved_arguments": {"seed": "forgotten by Keras"}}),
    "Dropout": (
        L.Dropout,
        {"rate": 0.5, "noise_shape": (None, 1, None)},
        (2, 5, 4),
        {"expect": {"seed_generators": 1}},
    ),
    "BatchNormalization": (
        L.BatchNormalization,
        {"momentum": 0.9},
        (3, 5, 4),
        {"expect": {"non_trainable_weights": 2}},
    ),
    "Add": (L.Add, {}, [(2, 5, 4), (2, 5, 4)], {}),
}


@pytest.mark.parametrize("name", STOCK)
def test_layers_of_keras_pass(failures, name):
    if keras.backend.backend() == "jax" and name in ("MultiHeadAttention", "SimpleRNN"):
        pytest.skip("JAX compiles each operation: half a minute; the conformance battery runs an attention and a cell")
    layer, arguments, shape, options = STOCK[name]
    assert failures(layer, arguments, shape, **options) == {}


@pytest.mark.parametrize(
    ("layer", "arguments", "lost"),
    [
        (L.Dense, {"units": 3}, "lora_rank, lora_alpha"),
        (L.LSTM, {"units": 3}, "use_cudnn"),
        (L.SimpleRNN, {"units": 3}, "seed"),
        (L.MultiHeadAttention, {"num_heads": 2, "key_dim": 3}, "flash_attention"),
    ],
)
def test_keras_leaves_arguments_out_of_configs(failures, only, layer, arguments, lost):
    shape = {"query": (2, 5, 4), "value": (2, 4, 4)} if layer is L.MultiHeadAttention else (2, 5, 4)
    found = failures(layer, arguments, shape, skip=only("config_holds_every_argument"))
    assert f"the config lacks: {lost}." in found["config_holds_every_argument"]


def test_keras_averages_a_fully_masked_sample_to_nan(failures, only):
    found = failures(L.GlobalAveragePooling1D, {}, (2, 5, 4), skip=only("empty_sample_stays_finite"))
    assert "not finite" in found["empty_sample_stays_finite"]


def test_every_check_is_either_passed_or_left_out_with_a_reason():
    skip = {"jit_compile": "slow", "saved_model": "slow", "litert": "slow"}
    report = check_layer(Scaling, {}, (2, 5, 3), skip=skip)
    names = [name for name, _ in report.passed + report.left_out]
    assert sorted(names) == sorted(CHECK_NAMES[: len(names)])
    assert all(reason for _, reason in report.left_out)
    assert "left out  litert (slow)" in str(report)


def test_the_error_counts_and_names_what_failed(only):
    with pytest.raises(LayerCheckError, match=r"Scaling fails 1 of 2 checks:\n- low_precision: .* Usual cause: Phases"):
        check_layer(Scaling, {}, (2, 5, 3), skip=only("low_precision"), tolerances={"low_precision": 1e-3})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip": {"litrt": "typing error"}}, "skip must name checks that exist; received litrt"),
        ({"skip": ("litert",)}, "skip must map names of checks"),
        ({"tolerances": {"speed": 1.0}}, "tolerances must name checks that exist; received speed"),
        ({"expect": {"colour": "red"}}, "expect must have keys among built_at_init"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        check_layer(Scaling, {}, (2, 5, 3), **options)


def test_given_inputs_are_used(only):
    ones = np.ones((2, 5, 3), "float32")
    check_layer(Scaling, {"start": 3.0}, (2, 5, 3), input_data=ones, expect={"output": 3 * ones}, skip=only())
