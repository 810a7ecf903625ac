"""A signal lies over the colours of its time steps."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_arch.explain import Attribution
from keras_arch.plots import signal
from keras_arch.plots.heat import colors


def attribution(inputs, values):
    return Attribution(values, inputs, np.array([4, 5]), None, np.array([0.5, 2.0], "float32"))


def test_lines_are_the_channels_and_colours_the_sum_of_their_attributions(rng):
    values, heat = rng.normal(size=(2, 30, 3)).astype("float32"), rng.normal(size=(2, 30, 3)).astype("float32")
    ax = signal(attribution(values, heat), index=1, names=["x", "y", "z"])
    np.testing.assert_array_equal([line.get_ydata() for line in ax.lines], values[1].T)
    np.testing.assert_array_equal(ax.images[0].get_array(), colors(heat[1].sum(-1)[None], alpha=0.85))
    assert ax.images[0].get_extent()[:2] == [-0.5, 29.5]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x", "y", "z"]
    assert ax.get_title() == "target 5, score 2"


def test_one_channel_has_its_own_attribution(rng):
    values, heat = rng.normal(size=(2, 30, 3)).astype("float32"), rng.normal(size=(2, 30, 3)).astype("float32")
    ax = signal(attribution(values, heat), channel=2, names=["x", "y", "z"])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), values[0, :, 2])
    np.testing.assert_array_equal(ax.images[0].get_array(), colors(heat[0, :, 2][None], alpha=0.85))
    assert len(ax.lines) == 1
    assert ax.get_legend().get_texts()[0].get_text() == "z"


def test_the_whole_line_is_seen_and_few_steps_are_stretched(rng):
    values = np.concatenate([np.zeros(10), np.full(10, 5.0)])
    ax = signal(values, heat=np.array([1.0, -1.0]))
    assert ax.get_ylim()[0] < 0 < 5 < ax.get_ylim()[1]
    assert ax.images[0].get_array().shape == (1, 2, 4)
    assert ax.images[0].get_extent()[:2] == [-0.5, 19.5]


def test_a_constant_signal_and_the_callers_axes(rng):
    ax = Figure().subplots()
    assert signal(np.zeros(4), heat=np.ones(4), ax=ax, colorbar=False) is ax
    assert len(ax.figure.axes) == 1
    assert ax.get_ylim() == (-1, 1)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (({"signal": np.zeros((4, 2)), "heat": np.ones((4, 3))}), r"heat must be \(T,\) or \(T, C\)"),
        (({"signal": np.zeros((4, 2)), "heat": np.ones(4), "channel": 2}), r"channel must be None or lie within 0..1"),
        (({"signal": np.zeros((4, 2)), "heat": np.ones(4), "names": ["x"]}), "names must be 2, one per channel"),
        (({"signal": attribution(np.ones((2, 4, 1)), np.ones((2, 4, 1))), "heat": np.ones(4)}), "heat must be None"),
        (
            ({"signal": attribution(np.ones((2, 4), int), np.ones((2, 4)))}),
            "attribution must be of sequences of floats",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        signal(arguments.pop("signal"), **arguments)
