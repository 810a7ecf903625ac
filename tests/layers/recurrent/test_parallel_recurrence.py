"""The manners of keras.layers.RNN, by the smallest layer that has them."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import LRU, MinGRU
from keras_arch.layers.recurrent.parallel_recurrence import ParallelRecurrence

pytestmark = pytest.mark.backend

numpy = ops.convert_to_numpy


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 6, 3)).astype("float32")


def pair(first, second, x):
    """Two layers of the same weights."""
    for layer in (first, second):
        layer.build(x.shape)
    for target, source in zip(second.trainable_weights, first.trainable_weights, strict=True):
        target.assign(source)
    return first, second


@pytest.mark.parametrize("cls", [MinGRU, LRU])
def test_what_is_returned_is_the_last_of_all(cls, x):
    layer, last = pair(cls(4, return_sequences=True, return_state=True), cls(4), x)
    outputs, *states = layer(x)
    np.testing.assert_allclose(numpy(last(x)), numpy(outputs)[:, -1], rtol=1e-6)
    shapes = layer.compute_output_shape((None, None, 3))
    assert [tuple(v.shape[1:]) for v in (outputs, *states)] == [(6, 4), *((size,) for size in layer.state_sizes)]
    assert shapes == [(None, None, 4), *((None, size) for size in layer.state_sizes)]


@pytest.mark.parametrize("cls", [MinGRU, LRU])
def test_a_sequence_in_two_calls_is_the_sequence(cls, x):
    layer = cls(4, return_sequences=True, return_state=True)
    whole, *_ = layer(x)
    first, *states = layer(x[:, :2])
    second, *_ = layer(x[:, 2:], initial_state=states)
    halves = np.concatenate([numpy(first), numpy(second)], axis=1)
    np.testing.assert_allclose(halves, numpy(whole), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cls", [MinGRU, LRU])
def test_a_stateful_layer_goes_on_until_it_is_reset(cls, x):
    plain, stateful = pair(cls(4, return_sequences=True), cls(4, return_sequences=True, stateful=True), x)
    whole = numpy(plain(x))
    halves = np.concatenate([numpy(stateful(x[:, :2])), numpy(stateful(x[:, 2:]))], axis=1)
    np.testing.assert_allclose(halves, whole, rtol=1e-4, atol=1e-5)
    stateful.reset_state()
    np.testing.assert_allclose(numpy(stateful(x[:, :2])), whole[:, :2], rtol=1e-4, atol=1e-5)


def test_backwards_is_the_flipped_sequence(x):
    plain, backward = pair(MinGRU(4, return_sequences=True), MinGRU(4, return_sequences=True, go_backwards=True), x)
    np.testing.assert_allclose(numpy(backward(x)), numpy(plain(x[:, ::-1])), rtol=1e-5, atol=1e-6)
    mask = np.array([[True, True, True, False, False, False]] * 2)
    np.testing.assert_allclose(numpy(backward(x, mask=mask))[:, 3:], numpy(plain(x[:, 2::-1])), rtol=1e-5, atol=1e-6)
    assert numpy(backward.compute_mask(x, ops.convert_to_tensor(mask)))[0].tolist() == mask[0, ::-1].tolist()


@pytest.mark.parametrize("cls", [MinGRU, LRU])
def test_bidirectional_joins_both_directions(cls, x):
    layer = keras.layers.Bidirectional(cls(4, return_sequences=True))
    got = numpy(layer(x))
    forward = numpy(layer.forward_layer(x))
    backward = numpy(layer.backward_layer(x))[:, ::-1]
    np.testing.assert_allclose(got, np.concatenate([forward, backward], axis=-1), rtol=1e-5, atol=1e-6)


def test_the_mask_goes_on_with_sequences_only(x):
    mask = ops.ones((2, 6), "bool")
    assert MinGRU(4).compute_mask(x, mask) is None
    assert MinGRU(4, return_sequences=True, return_state=True).compute_mask(x, mask)[1] is None
    assert MinGRU(4, return_sequences=True).compute_mask(x, mask) is mask


def test_one_model_takes_any_length(rng):
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, LRU(4, seed=0)(MinGRU(4, return_sequences=True)(inputs)))
    for length in (1, 40):
        assert model.predict(rng.normal(size=(2, length, 3)), verbose=0).shape == (2, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MinGRU(4)(np.ones((2, 3), "f4")), r"inputs must have the shape \(batch, steps, features\)"),
        (lambda: MinGRU(4, stateful=True).build((None, 5, 3)), "stateful=True needs a known batch size"),
        (
            lambda: LRU(4)(np.ones((1, 2, 3), "f4"), initial_state=ops.ones((1, 4))),
            r"initial_state must hold 2 states with \[2, 2\] features; received states with \[4\] features",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_subclass_must_say_how_it_recurs(x):
    layer = ParallelRecurrence(4, False, False, False, False)
    with pytest.raises(NotImplementedError, match="ParallelRecurrence must say the sizes"):
        layer.state_sizes  # noqa: B018
    with pytest.raises(NotImplementedError, match="ParallelRecurrence must say how it recurs"):
        layer.recur(x, [], None)
