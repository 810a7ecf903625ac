"""Chunks: an answer does not depend on how samples are grouped."""

import keras
import numpy as np
import pytest

from keras_arch.explain import GradCAM, IntegratedGradients
from keras_arch.explain.gradient.integrated_gradients import StraightPath
from keras_arch.explain.probe import Probe
from keras_arch.explain.target import select

L = keras.layers
convert = keras.ops.convert_to_numpy
pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            L.Conv2D(3, 3, bias_initializer="random_normal"),
            L.BatchNormalization(beta_initializer="random_normal", moving_mean_initializer="random_normal"),
            L.ReLU(name="maps"),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(4, bias_initializer="random_normal"),
        ]
    )


@pytest.mark.parametrize(
    "method", [GradCAM(), IntegratedGradients(steps=3), IntegratedGradients(steps=3, layer="maps")]
)
def test_an_answer_does_not_depend_on_batch_mates_or_chunks(net, rng, method):
    x = rng.normal(size=(7, 6, 6, 1)).astype("float32")
    target = [0, 1, 2, 3, 0, 1, 2]
    whole = method.explain(net, x, target)
    chunked = method.explain(net, x, target, batch_size=3)
    alone = method.explain(net, x[4:5], 0)
    scale = np.abs(whole.values).max()
    np.testing.assert_allclose(chunked.values, whole.values, atol=1e-6 * scale)
    np.testing.assert_allclose(alone.values[0], whole.values[4], atol=1e-6 * scale)
    np.testing.assert_allclose(chunked.predictions, convert(net(x)), rtol=1e-4, atol=1e-6)
    assert len(chunked) == 7
    assert chunked.scores.shape == (7,)


def test_a_path_integral_of_one_node_is_the_gradient_there(net, rng):
    x = rng.normal(size=(3, 6, 6, 1)).astype("float32")
    probe = Probe(net)
    parts = select(1, probe.survey(x).outputs, 3)
    gradient = np.concatenate([convert(chunk.gradient) for chunk in probe.gradients(x, parts)])
    zeros = np.zeros_like(x)
    one = probe.accumulate(StraightPath(), x, parts, (zeros, x), zeros, [(1.0, 2.0)])
    np.testing.assert_allclose(one, 2 * gradient, rtol=1e-5, atol=1e-7)


def test_a_layer_put_back_with_its_own_output_changes_nothing(net, rng):
    x = rng.normal(size=(3, 6, 6, 1)).astype("float32")
    probe = Probe(net).at(net.get_layer("maps"))
    parts = select(1, probe.survey(x).outputs, 3)
    np.testing.assert_allclose(probe.replaced(x, probe.values(x), parts), convert(net(x))[:, 1], rtol=1e-5, atol=1e-6)


def test_long_work_shows_a_progress_bar_when_asked(net, rng, capsys):
    x = rng.normal(size=(3, 6, 6, 1))
    IntegratedGradients(steps=5).explain(net, x)
    assert capsys.readouterr().out == ""
    IntegratedGradients(steps=5).explain(net, x, verbose=True)
    assert "5/5" in capsys.readouterr().out
