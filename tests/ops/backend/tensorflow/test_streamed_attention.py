import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)

import tensorflow as tf

from keras_arch.ops.backend.tensorflow import streamed_attention as module
from keras_arch.ops.backend.tensorflow.tiles import Tiles


def attended(key_tiles, rng, scale=1.0):
    """Output for one head, 6 queries and 8 keys, with keys in tiles of the given size."""
    query, key, value = (
        (scale * rng.standard_normal((1, 1, *s))).astype("float32") for s in ((1, 6, 4), (8, 4), (8, 4))
    )
    rest = (tf.zeros((1, 1, 1, 1)), tf.zeros((1, 1, 1, 1, 1)))
    attend = tf.function(module.streamed(Tiles(6, 8, 1, 1), has_bias=False, has_sinks=False))
    return attend(tf.constant(query), tf.constant(key), tf.constant(value), *rest)[0, 0, 0], query, key, value


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_running_maximum_gives_the_softmax_of_the_whole_row(scale, monkeypatch, rng):
    """With scores of several thousands too, where exp of a score or of a difference of tiles would overflow."""
    monkeypatch.setattr(module, "ROWS", 4)
    monkeypatch.setattr(module, "COLUMNS", 3)
    got, query, key, value = attended(3, rng, scale)
    scores = query[0, 0, 0].astype("float64") @ key[0, 0].T
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ value[0, 0]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5 * scale)
