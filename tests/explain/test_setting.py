"""Settings that hold arrays are compared and stored by their numbers."""

import keras
import numpy as np
import pytest

from keras_arch.explain import IntegratedGradients
from keras_arch.explain.gradient.blur_path import BlurPath
from keras_arch.explain.gradient.paths import BrokenPath
from keras_arch.explain.gradient.references import References

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    "setting", [References(np.ones((2, 3))), BrokenPath([0.5, np.arange(3.0)]), BlurPath(sigma=3.0)]
)
def test_settings_survive_storage_inside_their_method(setting):
    name = "baseline" if isinstance(setting, References) else "path"
    method = IntegratedGradients(**{name: setting})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(method))
    assert again == method
    assert hash(again) == hash(method)
    assert type(setting).__name__ in repr(method)


def test_settings_differ_by_their_numbers():
    assert References(np.ones((2, 3))) != References(np.zeros((2, 3)))
    assert BrokenPath([0.5]) != BrokenPath([0.25])
    assert BlurPath(3.0) == BlurPath(3.0) != BlurPath(4.0)
