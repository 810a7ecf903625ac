"""Groups of a weight and their norms."""

import keras
import numpy as np
import pytest

from keras_arch.ops.groups import check_groups, group_axes, group_norms, group_size, head_axis, widened

pytestmark = pytest.mark.backend


SHAPE = (3, 3, 2, 4, 5)


@pytest.mark.parametrize("rank", [1, 2, 4, 5])
def test_filter_is_the_last_axis_of_any_rank(rank):
    assert group_axes("filter", SHAPE[:rank]) == (rank - 1,)


@pytest.mark.parametrize("rank", [2, 4, 5])
def test_input_is_the_axis_before_the_last(rank):
    assert group_axes("input", SHAPE[:rank]) == (rank - 2,)


def test_axes_count_from_either_end():
    assert group_axes(-1, (3, 2, 4)) == group_axes(2, (3, 2, 4)) == (2,)
    assert group_axes((-1, 0), (3, 2, 4)) == group_axes((0, 2), (3, 2, 4)) == (0, 2)


@pytest.mark.parametrize(("groups", "rank"), [("input", 1), (2, 2), (-3, 2), ((0, -2), 2)])
def test_axes_that_a_weight_does_not_have_raise(groups, rank):
    with pytest.raises(ValueError, match="must name different axes of the weight, which has rank"):
        group_axes(groups, SHAPE[:rank])


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((64, 8, 8), 1),  # model, heads, head size
        ((8, 8, 64), 0),  # heads, head size, model
        ((64, 2, 8), 1),  # keys and values of fewer heads
        ((12, 3, 2), 1),
        ((3, 2, 12), 0),
        ((16, 1, 8), 1),
        ((1, 8, 16), 0),
        ((4, 4, 1), 1),
    ],
)
def test_heads_are_told_by_the_shape(shape, axis):
    assert head_axis(shape) == axis
    assert group_axes("head", shape) == (axis,)


@pytest.mark.parametrize("shape", [(8, 1, 8), (10, 3, 2), (2, 3, 10), (5, 4), (3, 3, 2, 4), (4,)])
def test_shapes_that_do_not_tell_heads_raise(shape):
    with pytest.raises(ValueError, match=r'groups="head" needs the kernel of an attention layer.*such as groups=1'):
        group_axes("head", shape)


@pytest.mark.parametrize("kv_heads", [None, 2])
def test_heads_of_every_kernel_of_an_attention_layer(kv_heads):
    if kv_heads is None:
        layer = keras.layers.MultiHeadAttention(4, 3)
    else:
        layer = keras.layers.GroupQueryAttention(3, 4, kv_heads)
    layer.build((None, 5, 12), (None, 5, 12))
    kernels = {one.path.split("/")[-2]: one for one in layer.trainable_variables if one.name == "kernel"}
    axes = {name: group_axes("head", kernel.shape) for name, kernel in kernels.items()}
    assert {name: kernels[name].shape[axis] for name, (axis,) in axes.items()} == {
        "query": 4,
        "key": kv_heads or 4,
        "value": kv_heads or 4,
        "attention_output": 4,
    }


@pytest.mark.parametrize("groups", ["filters", 1.5, True, (), (0, 0), ("filter",), None])
def test_groups_that_are_none_raise(groups):
    with pytest.raises(ValueError, match="groups must"):
        check_groups(groups)


def test_sizes_of_groups_times_their_number_is_the_size_of_the_weight():
    for axes in [(0,), (3,), (0, 3), (0, 1, 2, 3)]:
        number = np.prod([(3, 5, 2, 4)[axis] for axis in axes])
        assert group_size((3, 5, 2, 4), axes) * number == 3 * 5 * 2 * 4


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_norms_equal_numpy(rng, axes):
    x = rng.normal(size=(3, 4, 5)).astype("float32")
    others = tuple(axis for axis in range(3) if axis not in axes)
    expected = np.sqrt((x.astype("float64") ** 2).sum(axis=others)) if others else np.abs(x)
    got = keras.ops.convert_to_numpy(group_norms(keras.ops.convert_to_tensor(x), axes))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_norms_of_large_float16_values_are_finite():
    x = keras.ops.full((4, 2), 60000.0, dtype="float16")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(group_norms(x, (1,))), 2 * 60000.0, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_widening_keeps_what_is_wide_enough(dtype):
    if dtype == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX makes no float64 unless told to")
    got = widened(keras.ops.ones(2, dtype=dtype))
    assert keras.backend.standardize_dtype(got.dtype) == ("float64" if dtype == "float64" else "float32")
