"""Positions and channels of inputs, and settings that are nested like them."""

import keras
import numpy as np
import pytest

from keras_arch.explain.perturbation.layout import check_data_format, layouts, per_input

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    ("shape", "data_format", "size", "channels"),
    [
        ((2, 8, 6, 3), "channels_last", (8, 6), 2),
        ((2, 3, 8, 6), "channels_first", (8, 6), 0),
        ((2, 7, 4), "channels_last", (7,), 1),
        ((2, 4, 5, 6, 1), "channels_last", (4, 5, 6), 3),
        ((2, 9), "channels_first", (9,), None),
        ((2,), "channels_last", (), None),
    ],
)
def test_channels_stand_where_the_format_says(shape, data_format, size, channels, rng):
    (where,) = layouts(np.zeros(shape), data_format)
    assert (where.size, where.channels) == (size, channels)
    array = rng.normal(size=shape)
    moved = where.last(array)
    assert moved.shape[:-1] == (shape[0], *size)
    np.testing.assert_array_equal(where.back(moved), array)
    assert where.back(moved[..., :1]).ndim == len(shape)


def test_the_format_of_keras_is_the_default():
    before = keras.config.image_data_format()
    try:
        keras.config.set_image_data_format("channels_first")
        assert layouts(np.zeros((1, 3, 5, 5)), None)[0].size == (5, 5)
    finally:
        keras.config.set_image_data_format(before)
    with pytest.raises(ValueError, match="data_format must be one of 'channels_first', 'channels_last'"):
        check_data_format("NCHW")


def test_settings_are_handed_to_the_inputs_they_are_nested_like():
    a, b = np.zeros((1, 2)), np.zeros((1, 3))
    assert per_input("window", (2, 3), a) == [(2, 3)]
    assert per_input("window", (2, 3), [a, b]) == [(2, 3), (2, 3)]
    assert per_input("window", [(2, 3), 4], [a, b]) == [(2, 3), 4]
    assert per_input("window", {"b": 1, "a": [2, 3]}, {"a": [a, b], "b": b}) == [2, 3, 1]
    leaves = keras.tree.flatten({"b": "last", "a": "first"})
    assert per_input("window", {"b": "last", "a": "first"}, {"b": b, "a": a}) == leaves


@pytest.mark.parametrize(
    ("setting", "inputs", "match"),
    [
        ([1, 2, 3], [np.zeros((1, 2))] * 2, "window must be nested like the inputs; .* a list of 2"),
        (
            {"a": 1},
            {"a": np.zeros((1, 2)), "b": np.zeros((1, 2))},
            r"Pass one for all inputs, or a dict of \['a', 'b'\]",
        ),
    ],
)
def test_a_setting_that_does_not_fit_is_named(setting, inputs, match):
    with pytest.raises(ValueError, match=match):
        per_input("window", setting, inputs)
