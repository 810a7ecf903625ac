"""Which activations let channels pass, and what they make of constants."""

import keras
import numpy as np
import pytest

from keras_arch import activations
from keras_arch.compression.pruning.shrinking.activation import elementwise
from keras_arch.compression.pruning.shrinking.channels import UntraceableError

pytestmark = pytest.mark.backend
MIXING = {"softmax", "log_softmax", "sparsemax", "glu"}
NO_ACTIVATIONS = {"deserialize", "get", "serialize", "threshold"}  # threshold wants two more arguments
PUBLIC = sorted(set(dir(keras.activations)) - MIXING - NO_ACTIVATIONS)


@pytest.mark.parametrize("name", [name for name in PUBLIC if not name.startswith("_")])
def test_every_other_activation_of_keras_is_known_and_applied_to_each_value(name):
    function = getattr(keras.activations, name)
    values = np.array([-1.5, np.nan, 0.0, 2.0])
    got = elementwise(function)(values)
    alone = [float(function(keras.ops.convert_to_tensor([value], dtype="float32"))[0]) for value in values[[0, 2, 3]]]
    np.testing.assert_allclose(got[[0, 2, 3]], alone, rtol=1e-6)
    assert np.isnan(got[1])


@pytest.mark.parametrize(
    "activation",
    [activations.snake, activations.lisht, keras.layers.LeakyReLU(0.5), keras.layers.Activation("tanh")],
)
def test_ours_and_layers_are_known(activation):
    assert elementwise(activation)(np.array([0.0, np.nan]))[0] == 0


@pytest.mark.parametrize("name", sorted(MIXING))
def test_what_mixes_channels_is_not_traced(name):
    with pytest.raises(UntraceableError, match=f"its activation {name} may mix channels"):
        elementwise(getattr(keras.activations, name))


@pytest.mark.parametrize("activation", [lambda x: x, keras.layers.PReLU(), keras.layers.Softmax()])
def test_what_is_unknown_is_not_traced(activation):
    with pytest.raises(UntraceableError, match="may mix channels"):
        elementwise(activation)
