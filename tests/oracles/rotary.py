"""Rotary embeddings one pair at a time in NumPy's longest float; the scalings as papers and programs put them."""

import math

import numpy as np


def rotary_loop(x, positions, frequencies, interleaved=False, growth=1.0):
    """x (T, N, H) turned step by step, pair by pair, in longdouble."""
    out = np.array(x, "longdouble")
    pairs = len(frequencies)
    for t, position in enumerate(positions):
        for i, frequency in enumerate(frequencies):
            a, b = (2 * i, 2 * i + 1) if interleaved else (i, i + pairs)
            angle = np.longdouble(int(position)) * np.longdouble(frequency)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * growth
            for head in range(out.shape[1]):
                first, second = np.longdouble(x[t, head, a]), np.longdouble(x[t, head, b])
                out[t, head, a] = turn[0, 0] * first + turn[0, 1] * second
                out[t, head, b] = turn[1, 0] * first + turn[1, 1] * second
    return out


def plain(size, base):
    return [base ** (-2 * i / size) for i in range(size // 2)]


def linear(size, base, factor):
    """Positions are divided: position / factor * frequency."""
    return [f / factor for f in plain(size, base)]


def ntk(size, base, factor):
    """The base grows so that the slowest pair turns `factor` times slower."""
    return plain(size, base * factor ** (size / (size - 2)))


def dynamic(size, base, factor, original_length, length):
    """The base follows the length, from the trained one on."""
    length = max(length, original_length)
    grown = factor * length / original_length - (factor - 1)
    return plain(size, base * grown ** (size / (size - 2)))


def yarn(size, base, factor, original_length, beta_fast=32, beta_slow=1, truncate=True):
    """Weights between interpolation and extrapolation, ramped between two dimensions."""

    def dimension(rotations):
        return (size * math.log(original_length / (rotations * 2 * math.pi))) / (2 * math.log(base))

    low, high = dimension(beta_fast), dimension(beta_slow)
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, size - 1)
    if low == high:
        high += 0.001
    frequencies = []
    for i, f in enumerate(plain(size, base)):
        extrapolated = 1 - min(max((i - low) / (high - low), 0), 1)
        frequencies.append(f / factor * (1 - extrapolated) + f * extrapolated)
    return frequencies


def llama3(size, base, factor, original_length, low_freq_factor, high_freq_factor):
    """Three bands by wavelength: kept, divided, and a blend of the two between them."""
    frequencies = []
    for f in plain(size, base):
        wavelength = 2 * math.pi / f
        if wavelength < original_length / high_freq_factor:
            frequencies.append(f)
        elif wavelength > original_length / low_freq_factor:
            frequencies.append(f / factor)
        else:
            smooth = (original_length / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor)
            frequencies.append((1 - smooth) * f / factor + smooth * f)
    return frequencies
