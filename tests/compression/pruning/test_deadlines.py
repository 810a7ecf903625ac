"""Deadlines: what is gone at which step."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.compression.pruning.deadlines import Deadlines

pytestmark = pytest.mark.backend


def alive(deadlines, step):
    return ops.convert_to_numpy(deadlines.alive(0, step)).tolist()


def test_each_weight_goes_at_the_first_step_that_marks_it():
    deadlines = Deadlines([keras.Variable(np.ones(4, "float32"))])
    first, second = np.array([True, False, False, False]), np.array([True, True, True, False])
    deadlines.add(10, [(11, [first]), (13, [second])])
    assert [alive(deadlines, step) for step in (10, 11, 12, 13)] == [
        [True, True, True, True],
        [False, True, True, True],
        [False, True, True, True],
        [False, False, False, True],
    ]


def test_pending_deadlines_stay_and_passed_ones_are_forgotten():
    deadlines = Deadlines([keras.Variable(np.ones(3, "float32"))])
    deadlines.add(0, [(4, [np.array([True, False, False])]), (6, [np.array([True, True, False])])])
    assert deadlines.pending(4)[0].tolist() == [False, True, False]
    deadlines.add(4, [(9, [np.array([False, True, True])])])
    assert alive(deadlines, 6) == [True, False, True]
    assert alive(deadlines, 9) == [True, False, False]
