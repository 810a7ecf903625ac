"""Which channels go."""

import keras
import numpy as np
import pytest

from keras_arch.compression.graph import graph_of
from keras_arch.compression.pruning.shrinking.removal import Removal
from keras_arch.compression.pruning.shrinking.trace import Trace

pytestmark = pytest.mark.backend
L = keras.layers


def chain(*kernels, biases=None):
    """A network of dense layers d0, d1, .. with these kernels and ReLU between them."""
    layers = [keras.Input((len(kernels[0]),))]
    layers += [L.Dense(np.shape(kernel)[1], "relu", name=f"d{i}") for i, kernel in enumerate(kernels)]
    model = keras.Sequential(layers)
    biases = biases or [np.zeros(np.shape(kernel)[1]) for kernel in kernels]
    for layer, kernel, bias in zip(model.layers, kernels, biases, strict=True):
        layer.set_weights([np.array(kernel, "float32"), np.array(bias, "float32")])
    return model


def removal(model, forced=None):
    return Removal(Trace(graph_of(model)), forced)


def left(found, name):
    return np.flatnonzero(found.kept(found.trace.outputs[name][0])).tolist()


def test_a_unit_without_weights_goes_and_its_constant_moves():
    found = removal(chain([[1, 0, 2]], [[1], [3], [1]], biases=[[0, 2, 0], [0.5]]))
    assert left(found, "d0") == [0, 2]
    assert found.shift("d1").tolist() == [6.0]
    assert found.shift("d0").tolist() == [0.0] * 3


def test_a_unit_that_nobody_reads_goes_and_takes_along_what_only_it_reads():
    found = removal(chain([[1, 1, 1]], [[0, 1], [1, 1], [1, 0]], [[0], [1]]))
    assert left(found, "d1") == [1]
    assert left(found, "d0") == [0, 1]


def test_nothing_goes_where_all_is_read():
    found = removal(chain([[1, 1]], [[1], [1]]))
    assert left(found, "d0") == [0, 1]


def test_one_channel_stays_of_a_layer_that_is_dead_as_a_whole():
    found = removal(chain([[0, 0, 0]], [[1, 1], [1, 1], [1, 1]], [[1], [1]]))
    assert (left(found, "d0"), left(found, "d1"), left(found, "d2")) == ([0], [0], [0])


def test_forced_channels_go_although_they_are_read():
    found = removal(chain([[1, 1, 1]], [[1, 0, 0], [0, 0, 1], [1, 1, 0]], [[1], [1], [0]]), {"d0": [2]})
    assert left(found, "d0") == [0]  # 1 is read by a unit alone that nobody reads
    assert left(found, "d1") == [0, 1]


@pytest.mark.parametrize(
    ("forced", "message"),
    [
        ({"d1": [0]}, "channel 0 of 'd1', which stays: the model returns it. Leave it out"),
        ({"d0": [2]}, r"channels\['d0'\] must be an integer >= 0 and <= 1; received .*=2"),
        ({"d0": [-1]}, r"channels\['d0'\] must be an integer"),
        ({"d0": [0, 1]}, "received all 2 of 'd0'. Leave one out"),
    ],
)
def test_forced_channels_that_cannot_go_are_refused(forced, message):
    with pytest.raises(ValueError, match=message):
        removal(chain([[1, 1]], [[1], [1]]), forced)


def test_only_layers_with_filters_of_their_own_can_be_forced():
    model = keras.Sequential([keras.Input((2,)), L.Dense(2), L.ReLU(name="r"), L.LayerNormalization(name="n")])
    with pytest.raises(ValueError, match="the layer 'r': it has no filters of its own"):
        removal(model, {"r": [0]})
    with pytest.raises(ValueError, match="the layer 'n': LayerNormalization is not known"):
        removal(model, {"n": [0]})
