"""Words stand on the colours of their attributions, in the order of the text."""

import itertools

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_arch.explain import Attribution, IntegratedGradients
from keras_arch.plots import tokens
from keras_arch.plots.heat import colors
from keras_arch.plots.samples import title_of

WORDS = ["the", "film", "was", "not", "bad", "at", "all", "for", "$5", "or", "so"]


def test_each_word_stands_on_its_colour(rng):
    heat = rng.normal(size=len(WORDS))
    ax = tokens(heat, WORDS)
    assert [text.get_text() for text in ax.texts] == WORDS
    got = [np.round(255 * np.asarray(patch.get_facecolor())) for patch in ax.patches]
    np.testing.assert_array_equal(got, colors(heat[None])[0])
    assert "against the target" in ax.figure.axes[1].get_xlabel()


def test_words_read_from_left_to_right_in_lines_that_do_not_overlap(rng):
    ax = tokens(rng.normal(size=len(WORDS)), WORDS, width=120)
    boxes = [(patch.get_x(), patch.get_y(), patch.get_width(), patch.get_height()) for patch in ax.patches]
    assert len({box[1] for box in boxes}) > 1
    for (left, top, width, height), (next_left, next_top, _, _) in itertools.pairwise(boxes):
        assert next_left >= left + width if next_top == top else (next_left == 0 and next_top >= top + height)
    assert all(left + width <= 120 for left, _, width, _ in boxes)
    assert max(top + height for _, top, _, height in boxes) <= ax.get_ylim()[0]


def test_letters_can_be_read_on_dark_colours():
    ax = tokens(np.array([0.0, -1.0, 1.0]), ["a", "b", "c"], percentile=100)
    assert [text.get_color() for text in ax.texts] == ["black", "white", "white"]


def test_embeddings_of_an_attribution_are_summed_and_padding_is_left_out(rng):
    inputs = keras.Input((5,), dtype="int32")
    hidden = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(9, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    got = IntegratedGradients().explain(model, rng.integers(0, 9, (2, 5)), 1)
    ax = tokens(got, ["a", "b", "c"], index=1)
    want = colors(got.values[1, :3].sum(-1)[None])[0]
    np.testing.assert_array_equal([np.round(255 * np.asarray(patch.get_facecolor())) for patch in ax.patches], want)
    assert ax.get_title(loc="left") == title_of(got[1]) == f"target 1, score {got.scores[1]:.3g}"


def test_the_callers_axes_are_used():
    ax = Figure().subplots()
    assert tokens(np.ones(1), ["a"], ax=ax, colorbar=False) is ax
    assert len(ax.figure.axes) == 1


@pytest.mark.parametrize(
    ("heat", "words", "match"),
    [
        (np.ones(2), ["a", "b", "c"], "words must be 1 to 2, one per position; received 3"),
        (np.ones(2), [], "words must be 1 to 2"),
        (np.ones((2, 2)), ["a"], r"heat must be one number per word; received shape \(2, 2\)"),
        (
            Attribution(np.ones((1, 2, 2, 1)), np.ones((1, 2, 2, 1)), None, None, np.ones(1)),
            ["a"],
            "attribution must be of tokens or sequences",
        ),
    ],
)
def test_what_is_no_text_is_refused(heat, words, match):
    with pytest.raises(ValueError, match=match):
        tokens(heat, words)
