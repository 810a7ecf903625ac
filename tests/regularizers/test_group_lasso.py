"""Group lasso against a loop, finite differences and training."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.group_lasso import group_lasso

from keras_arch.regularizers import GroupLasso

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    ("shape", "groups", "axes"),
    [
        ((6, 4), "filter", (1,)),
        ((6, 4), "input", (0,)),
        ((3, 2, 4), "filter", (2,)),
        ((3, 3, 2, 4), "filter", (3,)),
        ((3, 3, 2, 4), "input", (2,)),
        ((2, 3, 2, 2, 3), "filter", (4,)),
        ((2, 3, 2, 2, 3), "input", (3,)),
        ((5, 3, 2), 1, (1,)),
        ((3, 2, 5), 0, (0,)),
        ((3, 3, 2, 2), (-2, -1), (2, 3)),
        ((4,), "filter", (0,)),
    ],
)
def test_penalty_equals_the_loop_at_any_rank(rng, shape, groups, axes):
    w = rng.normal(size=shape).astype("float32")
    got = float(GroupLasso(0.3, groups)(ops.convert_to_tensor(w)))
    assert got == pytest.approx(group_lasso(w, axes, 0.3), rel=1e-5)


def test_each_entry_its_own_group_is_the_lasso(rng):
    w = ops.convert_to_tensor(rng.normal(size=(3, 4)).astype("float32"))
    assert float(GroupLasso(0.2, (0, 1))(w)) == pytest.approx(float(keras.regularizers.L1(0.2)(w)), rel=1e-6)


def test_penalty_does_not_depend_on_the_order_within_a_group(rng):
    w = rng.normal(size=(3, 3, 2, 4)).astype("float32")
    shuffled = rng.permutation(w.reshape(18, 4)).reshape(w.shape)
    penalty = GroupLasso(0.1)
    assert float(penalty(ops.convert_to_tensor(w))) == pytest.approx(float(penalty(ops.convert_to_tensor(shuffled))))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_weights_are_summed_in_float32(rng, dtype):
    w = ops.cast(ops.convert_to_tensor(rng.normal(size=(3, 3, 4, 4)).astype("float32") * 400), dtype)
    got = GroupLasso(0.1)(w)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    assert float(got) == pytest.approx(group_lasso(ops.convert_to_numpy(ops.cast(w, "float32")), (3,), 0.1), rel=1e-5)


def test_training_on_the_penalty_alone_shrinks_every_filter_at_the_same_pace():
    kernel = np.zeros((2, 3), "float32")
    kernel[0] = [3.0, 2.0, 0.0]
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, kernel_regularizer=GroupLasso(0.1))])
    model.compile(keras.optimizers.SGD(1.0), lambda y, p: ops.sum(p, axis=-1) * 0)
    model.layers[0].set_weights([kernel, np.zeros(3, "float32")])
    model.train_on_batch(np.ones((1, 2), "float32"), np.zeros((1, 3), "float32"))
    norms = np.linalg.norm(model.layers[0].get_weights()[0], axis=0)  # strength · sqrt(2) less, and 0 stays 0
    np.testing.assert_allclose(norms, [3 - 0.1 * 2**0.5, 2 - 0.1 * 2**0.5, 0.0], rtol=1e-6)


def test_heads_of_a_whole_attention_layer_are_penalized():
    layer = keras.layers.MultiHeadAttention(3, 2, use_bias=False, kernel_regularizer=GroupLasso(0.1, "head"))
    layer.build((None, 5, 12), (None, 5, 12))
    kernels = {one.path.split("/")[-2]: ops.convert_to_numpy(one.value) for one in layer.trainable_variables}
    axes = {"query": (1,), "key": (1,), "value": (1,), "attention_output": (0,)}
    wanted = sum(group_lasso(kernel, axes[name], 0.1) for name, kernel in kernels.items())
    assert sum(float(ops.convert_to_numpy(loss)) for loss in layer.losses) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        GroupLasso(strength)


def test_a_weight_without_input_channels_raises():
    with pytest.raises(ValueError, match="which has rank 1; received groups='input'"):
        GroupLasso(0.1, "input")(ops.ones((3,)))


def test_axes_survive_a_json_config():
    layer = keras.layers.Dense(2, kernel_regularizer=GroupLasso(0.1, (0, -1)))
    model = keras.Sequential([keras.Input((3,)), layer])
    rebuilt = keras.models.model_from_json(model.to_json()).layers[0].kernel_regularizer
    assert rebuilt.get_config() == {"strength": 0.1, "groups": (0, -1)}
