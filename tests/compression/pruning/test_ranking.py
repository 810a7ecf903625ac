import keras
import numpy as np
import pytest

from keras_arch.compression.pruning.patterns import Block, Unstructured
from keras_arch.compression.pruning.ranking import SeparateWeights
from keras_arch.compression.scope import Target


def ranking(pattern, *shapes):
    return SeparateWeights(
        pattern, tuple(Target(f"layer_{n}", keras.Variable(np.ones(s))) for n, s in enumerate(shapes))
    )


def test_marks_have_the_shapes_of_the_weights(rng):
    ranks = ranking(Block(1, 2), (3, 4), (2, 2))
    scores = [rng.random((3, 4)), rng.random((2, 2))]
    marks = ranks.marks(scores, 0.5, "layer")
    assert [mark.shape for mark in marks] == [(3, 4), (2, 2)]
    for mark, score in zip(marks, scores, strict=True):
        means = score.reshape(-1, 2).mean(axis=1)
        expected = np.isin(np.arange(len(means)), np.argsort(means)[: len(means) // 2])
        np.testing.assert_array_equal(mark.reshape(-1, 2), np.repeat(expected[:, None], 2, axis=1))


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_weight_with_a_fraction_of_its_own_is_ranked_alone(scope):
    ranks = ranking(Unstructured(), (4,), (4,), (4,))
    scores = [np.arange(4.0), 10 + np.arange(4.0), 100 + np.arange(4.0)]
    marks = ranks.marks(scores, 0.5, scope, {2: 0.75})
    assert [int(mark.sum()) for mark in marks] == {"layer": [2, 2, 3], "global": [4, 0, 3]}[scope]


def test_a_weight_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match="pattern does not fit layer_1/.*: columns must divide"):
        ranking(Block(1, 2), (2, 2), (2, 3)).check([np.ones((2, 2)), np.ones((2, 3))])
