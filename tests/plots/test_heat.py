"""Colours say what the numbers say."""

import numpy as np
import pytest

from keras_arch.plots.heat import color_map, colors, is_signed, limit, picture


def test_signed_colours_are_symmetric_about_zero(rng):
    heat = rng.normal(size=(4, 5))
    for_target, against = colors(heat), colors(-heat)
    np.testing.assert_array_equal(for_target[..., 3], against[..., 3])
    strongest = np.unravel_index(np.argmax(np.abs(heat)), heat.shape)
    red, _, blue, opacity = for_target[strongest].astype(int) if heat[strongest] > 0 else against[strongest].astype(int)
    assert red > blue
    assert opacity == 255


def test_a_scaled_map_has_the_same_colours(rng):
    heat = rng.normal(size=(4, 5))
    np.testing.assert_array_equal(colors(heat), colors(1e-6 * heat))


def test_opacity_grows_as_the_root_of_the_magnitude():
    got = colors(np.array([[0.0, 0.25, 1.0]]), percentile=100, alpha=0.5)
    np.testing.assert_allclose(got[0, :, 3], [0, 0.25 * 255, 0.5 * 255], atol=1)


def test_hue_follows_the_colour_map_over_the_limit():
    heat = np.array([[-2.0, 0.0, 2.0]])
    want = np.round(255 * color_map(None, True)([0.0, 0.5, 1.0])[:, :3])
    np.testing.assert_array_equal(colors(heat)[0, :, :3], want)
    want = np.round(255 * color_map("viridis", False)([0.0, 0.5, 1.0])[:, :3])
    np.testing.assert_array_equal(colors(np.array([[0.0, 1.0, 2.0]]), cmap="viridis", percentile=100)[0, :, :3], want)


def test_one_extreme_pixel_does_not_decide_the_limit():
    heat = np.ones((20, 20))
    heat[0, 0] = 1000
    assert limit(heat) == 1
    assert limit(heat, 100) == 1000


def test_a_sparse_or_empty_map_has_a_limit():
    heat = np.zeros((20, 20))
    assert limit(heat) == 1
    heat[3, 3] = -4
    assert limit(heat) == 4
    assert colors(np.zeros((2, 2)))[..., 3].max() == 0


def test_rounding_below_zero_does_not_make_a_map_signed():
    assert not is_signed(np.array([-1e-9, 1.0]))
    assert is_signed(np.array([-0.1, 1.0]))


@pytest.mark.parametrize(
    ("image", "want"),
    [
        (np.array([[0, 128, 255]], "uint8"), [0, 128, 255]),
        (np.array([[0.0, 128.0, 255.0]]), [0, 128, 255]),
        (np.array([[0.0, 0.2, 1.0]]), [0, 51, 255]),
        (np.array([[-3.0, -1.0, 1.0]]), [0, 128, 255]),
        (np.array([[[0.0, 0.4], [1.0, 1.0]]]), [51, 255]),
        (np.full((1, 2), -7.0), [0, 0]),
    ],
)
def test_pictures_of_any_range(image, want):
    assert picture(image).tolist() == [want]


@pytest.mark.parametrize(("option", "value"), [("alpha", 1.5), ("percentile", 0)])
def test_bad_options_are_named(option, value):
    with pytest.raises(ValueError, match=f"{option} must be a number"):
        colors(np.ones((2, 2)), **{option: value})
