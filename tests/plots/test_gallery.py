"""A grid of samples by explanations."""

import numpy as np
import pytest

from keras_arch.explain import Attribution, GradCAM, GradCAMPlusPlus, GuidedBackprop, IntegratedGradients
from keras_arch.plots import gallery
from keras_arch.plots.heat import colors


def attribution(values, method=None):
    samples = len(values)
    return Attribution(values, np.ones_like(values), np.arange(samples), None, np.ones(samples, "float32"), method)


def test_rows_are_samples_and_columns_are_explanations(rng):
    first, second = (rng.normal(size=(5, 4, 4, 1)).astype("float32") for _ in range(2))
    figure = gallery({"one": attribution(first), "two": attribution(np.abs(second))}, max_samples=3, alpha=1.0)
    panels = [ax for ax in figure.axes if ax.images]
    assert len(panels) == 9
    assert [ax.get_title() for ax in panels[:3]] == ["input", "one", "two"]
    np.testing.assert_array_equal(panels[4].images[1].get_array(), colors(first[1, ..., 0]))
    np.testing.assert_array_equal(panels[8].images[1].get_array(), colors(np.abs(second[2, ..., 0])))
    assert panels[3].get_ylabel() == "target 1\nscore 1"
    bars = [[text.get_text() for text in ax.get_xticklabels()] for ax in figure.axes[9:]]
    assert bars == [["against", "0", "for"], ["none", "most"]]


def test_columns_are_named_after_their_methods():
    values = np.ones((1, 4, 4, 1), "float32")
    parts = [attribution(values, method) for method in (GradCAM(), IntegratedGradients(), GradCAM(relu=False))]
    titles = [ax.get_title().replace("\n", "") for ax in gallery(parts).axes if ax.images]
    assert titles == ["input", "GradCAM", "IntegratedGradients", "GradCAM (3)"]


def test_maps_and_vectors_can_stand_in_one_grid(rng, tmp_path):
    figure = gallery([attribution(rng.normal(size=(2, 4, 4, 1))), attribution(rng.normal(size=(2, 6)))])
    assert [bool(ax.patches) for ax in figure.axes[:6]] == [False, False, True] * 2
    figure.savefig(tmp_path / "mixed.png")
    assert (tmp_path / "mixed.png").stat().st_size > 1000


@pytest.mark.parametrize("parts", [[], [np.ones((2, 4, 4, 1)), np.ones((3, 4, 4, 1))]])
def test_what_is_not_of_the_same_samples_is_refused(parts):
    with pytest.raises(ValueError, match="attributions must be of equally many samples"):
        gallery([attribution(values) for values in parts])


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="max_samples must be an integer >= 1"):
        gallery(attribution(np.ones((1, 4))), max_samples=0)


@pytest.mark.parametrize(
    ("method", "title"),
    [
        (GradCAM(), "GradCAM"),
        (GradCAMPlusPlus(), "GradCAM\nPlusPlus"),
        (IntegratedGradients(), "Integrated\nGradients"),
        (GuidedBackprop(), "Guided\nBackprop"),
    ],
)
def test_long_names_stand_on_two_lines(method, title):
    values = np.ones((1, 4, 4, 1), "float32")
    one = Attribution(values, values, np.array([0]), None, np.ones(1, "float32"), method=method)
    assert gallery(one).axes[1].get_title() == title
