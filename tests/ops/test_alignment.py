"""Scores of a query against a memory, by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.ops.alignment import additive_scores, multiplicative_scores, read_memory

pytestmark = pytest.mark.backend


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


ON_JAX = keras.backend.backend() == "jax"
WIDE = np.float32 if ON_JAX else np.float64  # JAX knows no float64 unless told
EXACT = 1e-4 if ON_JAX else 1e-6


@pytest.fixture
def case(rng):
    return rng.normal(size=(2, 3)).astype(WIDE), rng.normal(size=(2, 4, 3)).astype(WIDE)


def test_multiplicative_scores_are_products(case):
    query, keys = case
    expected = np.array([[query[b] @ keys[b, s] for s in range(4)] for b in range(2)])
    np.testing.assert_allclose(numpy(multiplicative_scores(query, keys)), expected, rtol=EXACT)
    np.testing.assert_allclose(numpy(multiplicative_scores(query, keys, WIDE(-2))), -2 * expected, rtol=EXACT)


def test_additive_scores_are_projections_of_a_tanh(rng, case):
    query, keys = case
    v, shift = rng.normal(size=(2, 3)).astype(WIDE)
    plain = np.array([[v @ np.tanh(query[b] + keys[b, s]) for s in range(4)] for b in range(2)])
    np.testing.assert_allclose(numpy(additive_scores(query, keys, v)), plain, rtol=EXACT)
    unit = v / np.linalg.norm(v)
    normed = np.array([[3 * unit @ np.tanh(query[b] + keys[b, s] + shift) for s in range(4)] for b in range(2)])
    np.testing.assert_allclose(numpy(additive_scores(query, keys, v, WIDE(3), shift)), normed, rtol=EXACT)
    np.testing.assert_allclose(numpy(additive_scores(query, keys, 9 * v, WIDE(3), shift)), normed, rtol=EXACT)


def test_hidden_steps_weigh_nothing(rng):
    scores, values = rng.normal(size=(2, 3)).astype(WIDE), rng.normal(size=(2, 3, 2)).astype(WIDE)
    context, alignments = read_memory(scores, values, np.array([[1, 0, 1], [0, 0, 0]], WIDE))
    share = np.exp(scores[0, 0]) / (np.exp(scores[0, 0]) + np.exp(scores[0, 2]))
    np.testing.assert_allclose(numpy(alignments), [[share, 0, 1 - share], [0, 0, 0]], rtol=EXACT)
    expected = [share * values[0, 0] + (1 - share) * values[0, 2], np.zeros(2)]
    np.testing.assert_allclose(numpy(context), expected, rtol=1e-5)
