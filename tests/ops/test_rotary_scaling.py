import keras
import numpy as np
import pytest
from keras import ops
from oracles import rotary as oracle

from keras_arch.ops.rotary_scaling import attention_factor, normalize_scaling, rotary_frequencies

pytestmark = pytest.mark.backend

LLAMA3 = {"factor": 8.0, "original_length": 8192, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


@pytest.mark.parametrize("size", [6, 64, 128])
@pytest.mark.parametrize("base", [10000.0, 500000.0])
def test_frequencies_are_those_of_the_formulas(size, base):
    for kind, given in (
        ("linear", {"factor": 4.0}),
        ("ntk", {"factor": 4.0}),
        ("yarn", {"factor": 4.0, "original_length": 4096}),
        ("yarn", {"factor": 16.0, "original_length": 512, "beta_fast": 20.0, "beta_slow": 2.0, "truncate": False}),
        ("llama3", LLAMA3),
    ):
        got = rotary_frequencies(size, base, normalize_scaling({"type": kind, **given}))
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, getattr(oracle, kind)(size, base, **given), rtol=1e-14)
    np.testing.assert_allclose(rotary_frequencies(size, base), oracle.plain(size, base), rtol=1e-14)


@pytest.mark.parametrize("length", [1, 2048, 2049, 10_000])
def test_dynamic_frequencies_follow_the_length(length):
    scaling = normalize_scaling({"type": "dynamic", "factor": 3.0, "original_length": 2048})
    wanted = oracle.dynamic(64, 10000.0, 3.0, 2048, length)
    np.testing.assert_allclose(rotary_frequencies(64, 10000.0, scaling, length), wanted, rtol=1e-14)
    tensor = rotary_frequencies(64, 10000.0, scaling, ops.convert_to_tensor(length))
    tolerance = 3e-7 if keras.backend.backend() == "jax" else 1e-14
    np.testing.assert_allclose(ops.convert_to_numpy(tensor), wanted, rtol=tolerance)


def test_ntk_and_dynamic_leave_the_fastest_pair_and_divide_the_slowest():
    plain = rotary_frequencies(64)
    for scaling, length in (({"type": "ntk", "factor": 4}, None), (None, 8192)):
        scaling = scaling or {"type": "dynamic", "factor": 1.0, "original_length": 2048}
        got = rotary_frequencies(64, 10000.0, normalize_scaling(scaling), length)
        assert got[0] == plain[0]
        np.testing.assert_allclose(got[-1], plain[-1] / 4, rtol=1e-14)


def test_one_pair_has_the_frequency_one_under_every_ntk():
    for scaling in ({"type": "ntk", "factor": 4}, {"type": "dynamic", "factor": 4, "original_length": 8}):
        assert rotary_frequencies(2, 100.0, normalize_scaling(scaling), 100).tolist() == [1.0]


def test_spellings_of_a_hugging_face_config_are_understood():
    theirs = {
        "rope_type": "llama3",
        "factor": 8.0,
        "original_max_position_embeddings": 8192,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
    }
    assert normalize_scaling(theirs) == normalize_scaling({"type": "llama3", **LLAMA3}) == {"type": "llama3", **LLAMA3}
    assert normalize_scaling({"type": "linear", "rope_type": "linear", "factor": 2}) == {
        "type": "linear",
        "factor": 2.0,
    }
    assert normalize_scaling({"rope_type": "default"}) is None
    full = normalize_scaling({"type": "yarn", "factor": 4, "original_length": 16})
    assert normalize_scaling(full) == full


def test_attention_factor_of_yarn():
    def factor(**given):
        return attention_factor(normalize_scaling({"type": "yarn", "factor": 40.0, "original_length": 4096, **given}))

    assert factor() == pytest.approx(0.1 * np.log(40) + 1)
    assert factor(attention_factor=1.5) == 1.5
    assert factor(mscale=0.7, mscale_all_dim=0.5) == pytest.approx((0.07 * np.log(40) + 1) / (0.05 * np.log(40) + 1))
    assert attention_factor(normalize_scaling({"type": "linear", "factor": 4})) == 1.0


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        ("linear", "scaling must be None or a mapping"),
        ({"type": "su", "factor": 2}, r'scaling\["type"\] must be one of'),
        ({"factor": 2}, r'scaling\["type"\] must be one of'),
        ({"type": "linear"}, "must have factor.*Add factor"),
        ({"type": "dynamic", "factor": 2}, "original_length is the length the model was trained at"),
        ({"type": "linear", "factor": 2, "beta_fast": 3}, "takes factor.*Remove beta_fast"),
        ({"type": "linear", "factor": 2, "rope_theta": 3}, "rope_theta is the argument max_wavelength"),
        ({"type": "linear", "rope_type": "ntk", "factor": 2}, "must not say two things about 'type'"),
        ({"type": "linear", "factor": 0.5}, r'scaling\["factor"\] must be a number in \[1, inf\)'),
        ({"type": "yarn", "factor": 2, "original_length": 8.5}, "must be an integer >= 1"),
        ({"type": "yarn", "factor": 2, "original_length": 8, "truncate": "no"}, "must be True or False"),
        ({"type": "yarn", "factor": 2, "original_length": 8, "beta_slow": 40}, "must have beta_slow < beta_fast"),
        ({"type": "llama3", **LLAMA3, "low_freq_factor": 4}, "must have low_freq_factor < high_freq_factor"),
        ({"type": "default", "factor": 4}, "takes nothing"),
    ],
)
def test_bad_scalings_say_what_to_do(scaling, message):
    with pytest.raises(ValueError, match=message):
        normalize_scaling(scaling)


def test_yarn_needs_wavelengths_that_differ():
    scaling = normalize_scaling({"type": "yarn", "factor": 4, "original_length": 16})
    with pytest.raises(ValueError, match=r"max_wavelength must be a number in \(1, inf\]"):
        rotary_frequencies(8, 1.0, scaling)
