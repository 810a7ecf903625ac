"""Schemes that LiteRT runs, and those it does not."""

import keras
import pytest

from keras_arch.compression import PerGroup, Scheme, quantize
from keras_arch.compression.quantization.exportable import require_exportable

pytestmark = pytest.mark.backend


def test_groups_are_refused_by_the_layer_that_has_them():
    layers = [keras.layers.Dense(8, name="a"), keras.layers.ReLU(), keras.layers.Dense(2, name="b")]
    model = keras.Sequential([keras.Input((4,)), *layers])
    grouped = Scheme(4, narrow=True, granularity=PerGroup(4))
    require_exportable(quantize(model, 4))
    with pytest.raises(ValueError, match=r"layer 'a' has PerGroup\(size=4\): LiteRT has no kernels with groups"):
        require_exportable(quantize(model, grouped))
    with pytest.raises(ValueError, match="weights must have a scheme that LiteRT runs to be exported; layer 'b'"):
        require_exportable(quantize(model, overrides={"b": grouped}))
    require_exportable(quantize(model, grouped, exclude=["a", "b"]))
