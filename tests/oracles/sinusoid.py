"""Sinusoidal position encoding in NumPy's longest float, one value at a time."""

import math

import numpy as np


def sinusoid_loop(positions, size, max_wavelength=10000.0):
    """Encoding of a list of positions, shape (T, D), in longdouble: within 1e-13 at position 1e6 on x86."""
    table = np.zeros((len(positions), size), "longdouble")
    for t, position in enumerate(positions):
        for feature in range(size):
            exponent = np.longdouble(2 * (feature // 2)) / size
            angle = np.longdouble(int(position)) / np.longdouble(max_wavelength) ** exponent
            table[t, feature] = np.sin(angle) if feature % 2 == 0 else np.cos(angle)
    return table


def vaswani_formula(position, feature, size):
    """The paper's own two lines, in Python floats."""
    angle = position / 10000 ** (2 * (feature // 2) / size)
    return math.sin(angle) if feature % 2 == 0 else math.cos(angle)
