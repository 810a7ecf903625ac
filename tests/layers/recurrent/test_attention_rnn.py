"""The attending layer over sequences: against the loop, its cell stepped by hand, and in models."""

import keras
import numpy as np
import pytest
from keras import ops
from layers.recurrent.test_attention_cell import FEATURES, MEMORY, UNITS, WIDTH, decode, made, numpy
from oracles.memory_cells import attention

from keras_arch.layers import AttentionCell, AttentionRNN

pytestmark = pytest.mark.backend

ON_JAX = keras.backend.backend() == "jax"
LENGTH, STEPS = 4, 3


@pytest.fixture
def case(rng):
    """x (B, T, D) and a memory (B, S, M)."""
    x = rng.normal(size=(2, LENGTH, FEATURES)).astype("float32")
    return x, rng.normal(size=(2, STEPS, MEMORY)).astype("float32")


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_outputs_scores_and_states_equal_the_loop(rng, case, unroll, sequences):
    x, memory = case
    cell, step, weights = made(rng, "normed_bahdanau")
    layer = AttentionRNN(cell, sequences, return_state=True, unroll=unroll, return_attention_scores=True)
    mask = np.array([[True, True, False, False], [False, True, True, False]])
    visible = np.array([[True, True, False], [True, True, True]])
    output, scores, vector, h = layer(
        x, memory, memory_mask=ops.convert_to_tensor(visible), mask=ops.convert_to_tensor(mask)
    )
    zeros = [[np.zeros(WIDTH)]] * 2
    outputs, states, alignments = attention(
        x, memory, step, zeros, weights, "normed_bahdanau", visible=visible, mask=mask
    )
    expected = [outputs if sequences else outputs[:, -1], alignments, *states]
    for got, wanted in zip([output, scores, vector, h], expected, strict=True):
        np.testing.assert_allclose(numpy(got), wanted, rtol=2e-4, atol=1e-5)


def test_scores_change_nothing_else(rng, case):
    cell, _, _ = made(rng, "luong")
    plain = AttentionRNN(cell, return_sequences=True, unroll=ON_JAX)(*case)
    with_scores, _ = AttentionRNN(cell, return_sequences=True, unroll=ON_JAX, return_attention_scores=True)(*case)
    np.testing.assert_allclose(numpy(plain), numpy(with_scores), atol=1e-6)


@pytest.mark.parametrize("unroll", [False, True])
def test_it_is_its_cell_stepped_by_hand(rng, unroll):
    x = rng.normal(size=(2, LENGTH, FEATURES)).astype("float32")
    memory = rng.normal(size=(2, STEPS, MEMORY)).astype("float32")
    stack = keras.layers.StackedRNNCells([keras.layers.LSTMCell(3), keras.layers.GRUCell(2)])
    cell = AttentionCell(stack, UNITS, "scaled_luong")
    layer = AttentionRNN(cell, True, True, go_backwards=True, unroll=unroll)
    output, *after = layer(x, memory)
    got, states, _ = decode(cell, x[:, ::-1], cell.initial_states(memory))
    np.testing.assert_allclose(numpy(output), got, atol=1e-6)
    for a, b in zip(keras.tree.flatten(after), keras.tree.flatten(states[:3]), strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=1e-6)


def test_states_of_an_encoder_go_in_with_and_without_an_attention_vector(rng, case):
    cell, _, _ = made(rng, "luong")
    layer = AttentionRNN(cell, return_sequences=True, unroll=True)
    h = ops.convert_to_tensor(rng.normal(size=(2, WIDTH)).astype("float32"))
    expected, _, _ = decode(cell, case[0], cell.initial_states(case[1], cell_states=[h]))
    for given in (h, [h], [ops.zeros((2, UNITS)), h]):
        np.testing.assert_allclose(numpy(layer(*case, initial_state=given)), expected, atol=1e-6)
    with pytest.raises(ValueError, match="initial_state must hold the 1 states of the wrapped cell"):
        layer(*case, initial_state=[h, h, h])


@pytest.mark.parametrize("scores", [False, True])
def test_stateful_halves_are_the_whole(rng, case, scores):
    x, memory = case
    cell, _, _ = made(rng, "bahdanau")
    layer = AttentionRNN(cell, True, stateful=True, unroll=ON_JAX, return_attention_scores=scores)
    halves = [[numpy(one) for one in keras.tree.flatten(layer(part, memory))] for part in (x[:, :2], x[:, 2:])]
    whole = AttentionRNN(cell, True, unroll=ON_JAX, return_attention_scores=scores)(x, memory)
    for first, second, wanted in zip(*halves, keras.tree.flatten(whole), strict=True):
        np.testing.assert_allclose(np.concatenate([first, second], axis=1), numpy(wanted), atol=1e-6)
    layer.reset_state()
    np.testing.assert_allclose(numpy(keras.tree.flatten(layer(x[:, :2], memory))[0]), halves[0][0], atol=1e-6)


def translator():
    """An encoder and a decoder of any lengths, 0 being padding."""
    source, target = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(7, 3, mask_zero=True)(source)
    memory, *state = keras.layers.GRU(WIDTH, return_sequences=True, return_state=True)(embedded)
    cell = AttentionCell(keras.layers.GRUCell(WIDTH, dropout=0.3, seed=1), UNITS)
    decoded, scores = AttentionRNN(cell, return_sequences=True, return_attention_scores=True)(
        keras.layers.Embedding(7, FEATURES, mask_zero=True)(target), memory, initial_state=state
    )
    return keras.Model([source, target], [keras.layers.Dense(7)(decoded), scores])


def test_masks_travel_through_a_model_that_is_fitted_saved_and_loaded(tmp_path, rng):
    keras.utils.set_random_seed(1)
    model = translator()
    assert [tuple(output.shape) for output in model.outputs] == [(None, None, 7), (None, None, None)]
    source = np.array([[1, 2, 3, 4], [5, 6, 0, 0]])
    target = np.array([[1, 2, 3], [4, 0, 0]])
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trained = keras.Model(model.inputs, model.outputs[0])
    trained.compile("adam", crossentropy, jit_compile=ON_JAX)
    before = model.get_weights()
    trained.fit([source, target], target, epochs=1, verbose=0)
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True) if old.ndim > 1)
    predicted, scores = model.predict([source, target], verbose=0)
    np.testing.assert_allclose(scores[1, :, :2].sum(axis=-1), np.ones(3), rtol=1e-5)
    np.testing.assert_array_equal(scores[1, :, 2:], np.zeros((3, 2)))
    short, _ = model.predict([source[1:, :2], target[1:, :1]], verbose=0)
    np.testing.assert_allclose(predicted[1:, :1], short, atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict([source, target], verbose=0)[0], predicted, atol=1e-6)


def test_dropout_inside_acts_in_training_anew_for_each_call(case):
    cell = AttentionCell(keras.layers.LSTMCell(WIDTH, dropout=0.5, recurrent_dropout=0.5, seed=1), UNITS)
    layer = AttentionRNN(cell, return_sequences=True, unroll=ON_JAX)
    still, again = numpy(layer(*case)), numpy(layer(*case))
    np.testing.assert_array_equal(still, again)
    one, other = (numpy(layer(*case, training=True)) for _ in range(2))
    assert np.abs(one - still).max() > 1e-3
    assert np.abs(one - other).max() > 1e-3


def test_only_an_attending_cell_fits():
    with pytest.raises(ValueError, match=r"cell must be a keras_arch.layers.AttentionCell; .*AttentionCell\(cell"):
        AttentionRNN(keras.layers.LSTMCell(3))
