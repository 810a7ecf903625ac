"""Frequencies of rotary embeddings, stretched for sequences longer than those trained on."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.ops.positions import is_number
from keras_arch.ops.sinusoid import sinusoid_frequencies

SPELLINGS = {"rope_type": "type", "original_max_position_embeddings": "original_length"}  # of Hugging Face's configs
REQUIRED = {
    "linear": ("factor",),
    "ntk": ("factor",),
    "dynamic": ("factor", "original_length"),
    "yarn": ("factor", "original_length"),
    "llama3": ("factor", "original_length", "low_freq_factor", "high_freq_factor"),
}
OPTIONAL = {
    "yarn": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "attention_factor": None,
        "mscale": None,
        "mscale_all_dim": None,
        "truncate": True,
    }
}


def normalize_scaling(scaling: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Check a scaling and write it out in full: our names, every key, plain numbers.

    Args:
        scaling: None, or a mapping with "type" and what the type needs; see `keras_arch.layers.RotaryEmbedding`.
            The names of a Hugging Face config, "rope_type" and "original_max_position_embeddings", are understood.
    Returns:
        A new dict of plain data; None for no scaling (None, or the type "default").
    Raises:
        ValueError: for an unknown type, a key that the type lacks or does not know, or a number out of range.

    >>> normalize_scaling({"rope_type": "linear", "factor": 4})
    {'type': 'linear', 'factor': 4.0}
    """
    if scaling is None:
        return None
    if not isinstance(scaling, Mapping):
        advice = 'Pass for example {"type": "linear", "factor": 2.0}.'
        raise check.refuse("scaling", "must be None or a mapping", scaling, advice)
    given = {}
    for key, value in scaling.items():
        name = SPELLINGS.get(key, key)
        if given.get(name, value) != value:
            advice = f"Leave one of the two spellings of {name!r} out."
            raise check.refuse("scaling", f"must not say two things about {name!r}", dict(scaling), advice)
        given[name] = value
    kind = check.one_of('scaling["type"]', given.pop("type", None), (*REQUIRED, "default"))
    required, optional = REQUIRED.get(kind, ()), OPTIONAL.get(kind, {})
    missing = [name for name in required if name not in given]
    if missing:
        advice = "original_length is the length the model was trained at." if "original_length" in missing else ""
        advice = f"Add {', '.join(missing)}. {advice}".strip()
        raise check.refuse("scaling", f"of the type {kind!r} must have {', '.join(required)}", dict(scaling), advice)
    unknown = sorted(set(given) - {*required, *optional})
    if unknown:
        allowed = ", ".join((*required, *optional)) or "nothing"
        advice = f"Remove {', '.join(unknown)}."
        if "rope_theta" in unknown:
            advice += " rope_theta is the argument max_wavelength."
        raise check.refuse("scaling", f"of the type {kind!r} takes {allowed}", dict(scaling), advice)
    if kind == "default":
        return None
    return {"type": kind, **_numbers({**{name: given[name] for name in required}, **optional, **given})}


def _numbers(given: dict[str, Any]) -> dict[str, Any]:
    """The values of a scaling, each checked."""
    checked = {}
    for name, value in given.items():
        argument = f'scaling["{name}"]'
        if name == "original_length":
            checked[name] = check.integer(argument, value)
        elif name == "truncate":
            if not isinstance(value, bool):
                raise check.refuse(argument, "must be True or False", value, "Leave it out for True.")
            checked[name] = value
        elif value is None and name in ("attention_factor", "mscale", "mscale_all_dim"):
            checked[name] = None
        else:
            least = 1.0 if name == "factor" else 0.0
            checked[name] = check.real(
                argument, value, minimum=least, maximum=math.inf, open_maximum=True, open_minimum=name != "factor"
            )
    for low, high in (("low_freq_factor", "high_freq_factor"), ("beta_slow", "beta_fast")):
        if low in checked and not checked[low] < checked[high]:
            raise check.refuse("scaling", f"must have {low} < {high}", given, f"Swap {low} and {high}.")
    return checked


def rotary_frequencies(
    size: int, max_wavelength: float = 10000.0, scaling: dict[str, Any] | None = None, length: Any = None
) -> Any:
    """Frequencies that the feature pairs of a rotary embedding turn with.

    frequency[i] = max_wavelength ** (-2 i / D), in radians per position, then scaled by s = factor, L =
    original_length:
    linear:  frequency / s
    ntk:     frequency * s ** (-2 i / (D - 2)):  the fastest pair keeps its frequency, the slowest is divided by s
    dynamic: the same with s * length / L - (s - 1) in place of s; unchanged up to length L
    yarn:    frequency * ((1 - r[i]) + r[i] / s):  r rises from 0 at the pair that turns beta_fast times in L positions
             to 1 at the one that turns beta_slow times, linearly in i; both ends rounded outwards with `truncate`
    llama3:  frequency * (m[i] + (1 - m[i]) / s):  m = (turns in L - low_freq_factor) / (high_freq_factor -
             low_freq_factor), within [0, 1]
    i: feature pair, D: rotary size.

    Args:
        size: D, features that turn, even.
        max_wavelength: see `keras_arch.ops.sinusoid.sinusoid_frequencies`.
        scaling: what `normalize_scaling` returned.
        length: of the whole sequence, an int or an integer scalar tensor; only "dynamic" asks for it.
    Returns:
        float64 NumPy array, shape (D / 2,). For "dynamic" with a tensor length a tensor, float64 (float32 on JAX, whose
        rounding turns position p by up to 3e-7 p frequency radians too far).
    Source: Chen et al. 2023, arXiv:2306.15595 (linear); Peng et al. 2023, arXiv:2309.00071 (ntk, dynamic, yarn);
        Grattafiori et al. 2024, arXiv:2407.21783 (llama3).

    >>> rotary_frequencies(4, 100.0, normalize_scaling({"type": "linear", "factor": 2})).tolist()
    [0.5, 0.05]
    """
    plain = sinusoid_frequencies(size, max_wavelength)
    if scaling is None:
        return plain
    kind, factor = scaling["type"], scaling["factor"]
    if kind == "linear":
        return plain / factor
    exponents = -np.arange(0, size, 2, dtype="float64") / max(size - 2, 1)
    if kind == "ntk":
        return plain * factor**exponents
    turns = plain * scaling["original_length"] / (2 * np.pi)
    if kind == "dynamic":
        if is_number(length):
            return plain * max(factor * length / scaling["original_length"] - (factor - 1), 1.0) ** exponents
        return _dynamic_tensor(plain, exponents, scaling, length)
    if kind == "yarn":
        check.real("max_wavelength", max_wavelength, minimum=1.0, maximum=math.inf, open_minimum=True)
        ramp = _yarn_ramp(size, max_wavelength, scaling)
        return plain * ((1 - ramp) + ramp / factor)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return plain * (kept + (1 - kept) / factor)


def attention_factor(scaling: dict[str, Any] | None) -> float:
    """What yarn multiplies the turned features by, so that attention stays as sharp over a longer context; else 1.

    0.1 ln(factor) + 1; with mscale m and mscale_all_dim a, (0.1 m ln(factor) + 1) / (0.1 a ln(factor) + 1).

    >>> attention_factor(None)
    1.0
    """
    if scaling is None or scaling["type"] != "yarn":
        return 1.0
    if scaling["attention_factor"] is not None:
        return scaling["attention_factor"]
    growth, m, everywhere = 0.1 * math.log(scaling["factor"]), scaling["mscale"], scaling["mscale_all_dim"]
    if m and everywhere:
        return (m * growth + 1) / (everywhere * growth + 1)
    return growth + 1


def _dynamic_tensor(plain: np.ndarray, exponents: np.ndarray, scaling: dict[str, Any], length: Any) -> Any:
    wide = "float32" if keras.backend.backend() == "jax" else "float64"  # JAX has no float64 unless x64 is switched on
    factor, trained = scaling["factor"], scaling["original_length"]
    length = ops.maximum(ops.cast(length, "int32"), trained)  # of integers: PyTorch's maximum makes float64 float32
    ratio = factor * ops.cast(length, wide) / trained - (factor - 1)
    stretch = ops.exp(ops.log(ratio) * ops.convert_to_tensor(exponents, dtype=wide))
    return ops.convert_to_tensor(plain, dtype=wide) * stretch


def _yarn_ramp(size: int, max_wavelength: float, scaling: dict[str, Any]) -> np.ndarray:
    """0 for the pairs that keep their frequency, 1 for those whose frequency is divided."""

    def pair(turns: float) -> float:  # which pair turns that often within the original length
        wavelength = scaling["original_length"] / (2 * math.pi * turns)
        return size * math.log(wavelength) / (2 * math.log(max_wavelength))

    first, last = pair(scaling["beta_fast"]), pair(scaling["beta_slow"])
    if scaling["truncate"]:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, size - 1)
    if first == last:
        last += 0.001
    return np.clip((np.arange(size // 2) - first) / (last - first), 0.0, 1.0)
