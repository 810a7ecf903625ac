import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import FourierFeatures

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def formula(x, frequencies):
    angles = 2 * np.pi * (x.astype("float64") @ frequencies.astype("float64"))
    return np.concatenate([np.cos(angles), np.sin(angles)], -1)


def test_features_are_cosines_and_sines_of_the_directions(rng):
    layer, x = FourierFeatures(7, scale=3.0, seed=1), rng.uniform(size=(4, 5, 3)).astype("float32")
    got = values(layer(x))
    assert got.shape == (4, 5, 14)
    np.testing.assert_allclose(got, formula(x, values(layer.frequencies)), atol=2e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
def test_low_precision_rounds_the_output_only(rng, dtype):
    half, epsilon = ("float16", 2.0**-10) if "float16" in dtype.split("_") else ("bfloat16", 2.0**-7)
    layer, x = FourierFeatures(7, scale=10.0, seed=1, dtype=dtype), rng.uniform(size=(50, 2)).astype("float32")
    got = layer(x)
    assert keras.backend.standardize_dtype(got.dtype) == half
    wanted = formula(x, values(layer.frequencies))
    assert np.abs(values(got) - wanted).max() <= epsilon


def test_frequencies_are_drawn_with_the_scale_and_the_seed():
    layers = [FourierFeatures(500, scale=4.0, seed=seed) for seed in (3, 3, 4)]
    for layer in layers:
        layer.build((None, 20))
    first, same, other = (values(layer.frequencies) for layer in layers)
    assert first.std() == pytest.approx(4.0, rel=0.03)
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.parametrize("learned", [False, True])
def test_frequencies_are_trained_on_request_only_and_saved_always(tmp_path, learned):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(FourierFeatures(3, learn_frequencies=learned)(inputs)))
    model.trainable = True
    model.compile("sgd", "mse")
    before = values(model.layers[1].frequencies)
    x = np.random.default_rng(0).uniform(size=(8, 2)).astype("float32")
    model.fit(x, x[:, :1], verbose=0)
    after = values(model.layers[1].frequencies)
    assert (after != before).any() == learned
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(values(loaded.layers[1].frequencies), after)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_frequencies": 0}, "num_frequencies must be an integer >= 1"),
        ({"num_frequencies": 3, "scale": 0.0}, r"scale must be a number in \(0, inf\)"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        FourierFeatures(**arguments)
