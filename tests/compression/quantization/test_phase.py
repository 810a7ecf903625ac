"""Changing phases: all layers at once, compiled steps made anew, ranges checked before they are used."""

import keras
import numpy as np
import pytest

from keras_arch.compression import quantize
from keras_arch.compression.quantization.phase import phase_of, prepared_layers, quantized_layers, set_phase

pytestmark = pytest.mark.backend


def prepared():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="a"), keras.layers.Dense(2, name="b")])
    q = quantize(model, weights=2, activations=2)
    q.compile("sgd", "mse")
    return q


def test_compiled_steps_follow_the_phase(rng):
    q, x = prepared(), rng.normal(size=(8, 3)).astype("float32")
    y = np.zeros((8, 2), "float32")
    floating = q.predict(x, verbose=0), q.evaluate(x, y, verbose=0)
    q.fit(x, y, epochs=1, verbose=0)
    floating = q.predict(x, verbose=0), q.evaluate(x, y, verbose=0)
    set_phase(q, "frozen")
    assert phase_of(q) == "frozen"
    rounded = q.predict(x, verbose=0), q.evaluate(x, y, verbose=0)
    assert len(np.unique(rounded[0][:, 0])) <= 4 < len(np.unique(floating[0][:, 0]))
    assert rounded[1] != floating[1]
    set_phase(q, "observe")
    np.testing.assert_array_equal(q.predict(x, verbose=0), floating[0])


def test_paths_of_quantized_layers_are_those_of_the_model():
    assert [path for path, _ in quantized_layers(prepared())] == ["a", "b"]


def test_an_unprepared_model_is_told_what_to_call():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for ask in (prepared_layers, phase_of, lambda m: set_phase(m, "observe")):
        with pytest.raises(ValueError, match=r"Call q = keras_arch.compression.quantize\(model\) first"):
            ask(model)


def test_ranges_that_were_never_seen_cannot_be_frozen():
    with pytest.raises(ValueError, match="layer 'a' has seen none"):
        set_phase(prepared(), "frozen")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_ranges_that_are_not_finite_are_named(value):
    q = prepared()
    x = np.zeros((4, 3), "float32")
    x[1, 1] = value
    set_phase(q, "calibrate")
    q(x, training=False)
    with pytest.raises(ValueError, match="activations must be finite; the input_0 of layer 'a'"):
        set_phase(q, "frozen")


def test_layers_in_different_phases_are_an_error():
    q = prepared()
    q.layers[0].quantization_phase = "quantize"
    with pytest.raises(ValueError, match="must be in one phase"):
        phase_of(q)
    with pytest.raises(ValueError, match="phase must be one of"):
        set_phase(q, "training")
