"""The grid of heads shows the weights of one sample, all in the same colours."""

import numpy as np
import pytest

from keras_arch.explain import AttentionMaps
from keras_arch.plots import attention


@pytest.fixture
def maps(rng):
    def softmax(*shape):
        weights = np.exp(rng.normal(size=shape))
        return (weights / weights.sum(-1, keepdims=True)).astype("float32")

    return AttentionMaps({"first": softmax(2, 3, 5, 5), "second": softmax(2, 2, 5, 4)})


def panels(figure):
    return [ax for ax in figure.axes if ax.images and ax.get_label() != "<colorbar>"]


def test_each_head_of_each_layer_is_a_panel(maps):
    figure = attention(maps, index=1)
    want = [*maps.weights["first"][1], *maps.weights["second"][1]]
    got = [ax.images[0] for ax in panels(figure)]
    assert len(got) == 5
    top = max(weights.max() for weights in want)
    for image, weights in zip(got, want, strict=True):
        np.testing.assert_array_equal(image.get_array(), weights)
        assert image.get_clim() == (0, pytest.approx(top))
    labels = [ax.get_ylabel() for ax in panels(figure)]
    assert [label for label in labels if label] == ["first", "second"]


def test_titles_say_the_entropy_of_the_head(maps):
    titles = [ax.get_title() for ax in panels(attention(maps))]
    entropy = maps.entropy()
    assert titles[0] == f"head 0\nH = {entropy['first'][0, 0]:.2f}"
    assert titles[-1] == f"H = {entropy['second'][0, 1]:.2f}"


def test_words_stand_at_positions_where_they_fit(maps):
    figure = attention(maps, words=list("abcde"), layers=["second"], heads=[1])
    (panel,) = panels(figure)
    assert [text.get_text() for text in panel.get_yticklabels()] == list("abcde")
    assert panel.get_xticklabels() == []
    np.testing.assert_array_equal(panel.images[0].get_array(), maps.weights["second"][0, 1])


def test_windows_are_drawn_one_after_the_other(rng):
    weights = rng.random((1, 2, 3, 4, 4)).astype("float32")
    figure = attention(AttentionMaps({"windows": weights}))
    assert len(panels(figure)) == 6
    np.testing.assert_array_equal(panels(figure)[4].images[0].get_array(), weights[0, 1, 1])


def test_what_is_not_there_is_refused(maps):
    with pytest.raises(ValueError, match=r"layers must be paths of the maps, \['first', 'second'\]"):
        attention(maps, layers=["third"])
    with pytest.raises(ValueError, match="heads must be"):
        attention(maps, heads=[3])
    with pytest.raises(IndexError, match="sample 2 is out of range"):
        attention(maps, index=2)
