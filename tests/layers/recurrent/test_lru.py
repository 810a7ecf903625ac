import keras
import numpy as np
import pytest
from keras import ops
from oracles import recurrence as oracle
from scipy.linalg import expm
from scipy.signal import lfilter

from keras_arch.layers import LRU

pytestmark = pytest.mark.backend

numpy = ops.convert_to_numpy


def built(units=4, features=3, **options):
    layer = LRU(units, seed=1, return_sequences=True, **options)
    layer.build((2, 9, features))
    return layer


def parts(layer):
    """λ, γ, B (D, N), C (N, units) as complex numbers."""
    decay, phase, scale = (numpy(v).astype("float64") for v in (layer.log_decay, layer.log_phase, layer.log_scale))
    enter, leave = (
        numpy(dense.kernel).astype("float64") for dense in (layer.input_projection, layer.output_projection)
    )
    size = len(decay)
    factor = np.exp(-np.exp(decay) + 1j * np.exp(phase))
    return factor, np.exp(scale), enter[:, :size] + 1j * enter[:, size:], leave[:size] - 1j * leave[size:]


def expected(layer, x, feedthrough):
    factor, scale, enter, leave = parts(layer)
    states = oracle.linear_recurrence(factor, scale * (x @ enter))
    return (states @ leave).real + feedthrough


def test_it_is_the_formula_step_by_step(rng):
    layer, x = built(state_dim=5), rng.normal(size=(2, 9, 3)).astype("float32")
    wanted = expected(layer, x, x @ numpy(layer.feedthrough.kernel))
    np.testing.assert_allclose(numpy(layer(x)), wanted, rtol=1e-4, atol=1e-5)


def test_the_feedthrough_is_a_vector_where_sizes_agree(rng):
    layer, x = built(features=4), rng.normal(size=(2, 9, 4)).astype("float32")
    wanted = expected(layer, x, x * numpy(layer.feedthrough))
    np.testing.assert_allclose(numpy(layer(x)), wanted, rtol=1e-4, atol=1e-5)
    layer = built(use_feedthrough=False)
    np.testing.assert_allclose(numpy(layer(x[..., :3])), expected(layer, x[..., :3], 0), rtol=1e-4, atol=1e-5)


def test_one_state_is_a_complex_filter(rng):
    layer, x = built(units=1, features=1, state_dim=1, use_feedthrough=False), rng.normal(size=(1, 40, 1))
    factor, scale, enter, leave = parts(layer)
    states = lfilter(scale * enter[0], [1, -factor[0]], x[0, :, 0].astype("complex128"))
    np.testing.assert_allclose(numpy(layer(x.astype("float32")))[0, :, 0], (states * leave[0, 0]).real, atol=1e-5)


def test_left_alone_the_state_follows_the_matrix_exponential(rng):
    """With no input s[t] = expm(t A) s[0], A a 2 x 2 block (−exp ν, −exp θ; exp θ, −exp ν) a state."""
    layer = built(state_dim=2, return_state=True)
    start = rng.normal(size=(2, 2)).astype("float32")  # real and imaginary part, of one sample
    states = [ops.convert_to_tensor(part[None]) for part in start]
    *_, real, imaginary = layer(np.zeros((1, 6, 3), "float32"), initial_state=states)
    for n in range(2):
        slow, turn = (float(np.exp(numpy(v)[n])) for v in (layer.log_decay, layer.log_phase))
        got = [numpy(real)[0, n], numpy(imaginary)[0, n]]
        np.testing.assert_allclose(got, expm(6 * np.array([[-slow, -turn], [turn, -slow]])) @ start[:, n], atol=1e-5)


def test_masked_steps_keep_the_state_and_repeat_the_output(rng):
    layer, x = built(), rng.normal(size=(1, 9, 3)).astype("float32")
    mask = np.array([[False, True, True, False, False, True, False, True, False]])
    got = numpy(layer(x, mask=mask))[0]
    alone = numpy(layer(x[:, mask[0]]))[0]
    np.testing.assert_allclose(got, np.concatenate([np.zeros((1, 4)), alone])[np.cumsum(mask[0])], atol=1e-5)


def test_it_starts_on_its_ring_with_states_of_the_variance_of_the_inputs(rng):
    layer = LRU(200, min_radius=0.5, max_radius=0.8, max_phase=1.0, use_feedthrough=False, seed=0)
    layer.build((None, None, 8))
    factor, scale, enter, _ = parts(layer)
    assert 0.5 <= np.abs(factor).min() < np.abs(factor).max() <= 0.8
    assert 0 <= np.angle(factor).min() < np.angle(factor).max() <= 1.0
    states = oracle.linear_recurrence(factor, scale * (rng.normal(size=(64, 60, 8)) @ enter))
    assert np.mean(np.abs(states[:, -1]) ** 2) == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be an integer >= 1"),
        ({"units": 4, "state_dim": 0}, "state_dim must be an integer >= 1"),
        ({"units": 4, "max_radius": 1.0}, r"max_radius must be a number in \(0.9, 1\)"),
        ({"units": 4, "min_radius": -0.1}, r"min_radius must be a number in \[0, 1\)"),
        ({"units": 4, "max_phase": 0}, r"max_phase must be a number in \(0, "),
    ],
)
def test_bad_arguments_raise_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        LRU(**arguments)


def test_a_long_memory_is_learned_in_a_compiled_fit(rng):
    x = rng.normal(size=(64, 30, 2)).astype("float32")
    model = keras.Sequential([LRU(16, seed=0), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.02), "mse")
    losses = model.fit(x, x[:, 0, :1], epochs=15, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(("half", "resolution"), [("float16", 2**-10), ("bfloat16", 2**-7)])
def test_half_precision_rounds_the_products_and_not_the_transition(rng, half, resolution):
    """As the battery does, but with the transition unrounded: a phase that is off by a rounding turns away."""

    def rounded(array):
        return numpy(ops.cast(ops.cast(array, half), "float32"))

    layer, mixed = (
        built(use_feedthrough=False, max_radius=0.9999, dtype=dtype) for dtype in ("float32", f"mixed_{half}")
    )
    for dense in (layer.input_projection, layer.output_projection):
        dense.kernel.assign(rounded(dense.kernel))
    mixed.set_weights(layer.get_weights())
    x = rounded(rng.normal(size=(2, 300, 3)))
    wanted, got = numpy(layer(x)), mixed(ops.cast(x, half))
    assert keras.backend.standardize_dtype(got.dtype) == half
    error = np.abs(numpy(ops.cast(got, "float32")) - wanted).max() / np.abs(wanted).max()
    assert error <= 4 * resolution
