"""The picture holds the image, the heat in its colours, and what the colours mean."""

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_arch.explain import Attribution
from keras_arch.plots import overlay
from keras_arch.plots.heat import colors


def attribution(values):
    return Attribution(values, np.ones_like(values), np.array([4, 5]), None, np.array([0.5, 2.0], "float32"))


def test_an_image_is_drawn_under_its_heat(rng):
    image, heat = rng.uniform(size=(6, 8, 3)), rng.uniform(size=(6, 8))
    ax = overlay(image, heat, alpha=0.5)
    below, above = ax.images
    np.testing.assert_array_equal(below.get_array(), np.round(255 * image).astype("uint8"))
    np.testing.assert_array_equal(above.get_array(), colors(heat, alpha=0.5))
    assert ax.figure.axes[1].get_ylabel() == "evidence for the target"


def test_signed_heat_has_a_bar_with_zero_in_its_middle(rng):
    heat = rng.normal(size=(6, 8))
    ax = overlay(rng.uniform(size=(6, 8)), heat, percentile=100)
    bar = ax.figure.axes[1]
    np.testing.assert_allclose(bar.get_ylim(), [-np.abs(heat).max(), np.abs(heat).max()])
    assert "against the target" in bar.get_ylabel()


def test_a_small_map_is_stretched_over_the_image(rng):
    ax = overlay(rng.uniform(size=(8, 12)), rng.uniform(size=(2, 3)))
    assert [tuple(layer.get_extent()) for layer in ax.images] == [(-0.5, 11.5, 7.5, -0.5)] * 2


def test_an_attribution_shows_the_chosen_sample(rng):
    values = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    ax = overlay(attribution(values), index=1, colorbar=False)
    np.testing.assert_array_equal(ax.images[1].get_array(), colors(values[1].sum(-1), alpha=0.7))
    assert ax.get_title() == "target 5, score 2"
    assert len(ax.figure.axes) == 1


def test_a_vector_is_drawn_as_bars(rng):
    values = rng.normal(size=(2, 5)).astype("float32")
    ax = overlay(attribution(values))
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], values[0])
    assert [bar.get_facecolor()[0] > 0.5 for bar in ax.patches] == list(values[0] >= 0)


def test_the_callers_axes_are_used_and_pyplot_is_left_alone(rng):
    ax = Figure().subplots()
    assert overlay(np.ones((2, 2)), np.ones((2, 2)), ax=ax) is ax
    settings = dict(matplotlib.rcParams)
    overlay(np.ones((2, 2)), np.ones((2, 2)))
    assert dict(matplotlib.rcParams) == settings
    from matplotlib import pyplot

    assert pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("source", "heat", "match"),
    [
        (np.ones((4, 4)), None, r"heat must be a map .* received an image of shape \(4, 4\)"),
        (np.ones((1, 4, 4, 3)), np.ones((4, 4)), "without the batch axis"),
        (attribution(np.ones((2, 4))), np.ones((4, 4)), "heat must be None for an attribution"),
    ],
)
def test_what_does_not_fit_is_named(source, heat, match):
    with pytest.raises(ValueError, match=match):
        overlay(source, heat)
