"""Errors at the door: argument, rule, received value, next step."""

import numpy as np
import pytest

from keras_arch.core.check import describe, integer, one_of, real, refuse


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "3", None, 11])
def test_integer_refuses_what_is_no_integer_in_range(value):
    with pytest.raises(ValueError, match=r"heads must be an integer >= 1 and <= 10; received heads="):
        integer("heads", value, maximum=10)


@pytest.mark.parametrize("value", [1, 10, np.int64(4)])
def test_integer_returns_a_python_int(value):
    assert type(integer("heads", value, maximum=10)) is int
    assert integer("heads", value, maximum=10) == value


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), True, "0.5", None, [0.5]])
def test_real_refuses_what_is_outside_the_interval(value):
    with pytest.raises(ValueError, match=r"rate must be a number in \[0, 1\); received rate="):
        real("rate", value, minimum=0, maximum=1, open_maximum=True)


def test_real_takes_ends_that_belong_to_the_interval():
    assert real("rate", np.float32(0.5), minimum=0, maximum=1) == 0.5
    assert real("rate", 1, minimum=0, maximum=1) == 1.0
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        real("rate", 0, minimum=0, maximum=1, open_minimum=True)


def test_one_of_lists_the_options():
    assert one_of("scope", "layer", ("layer", "global")) == "layer"
    with pytest.raises(ValueError, match="scope must be one of 'global', 'layer'; received scope='all'"):
        one_of("scope", "all", ("layer", "global"))


def test_descriptions_are_one_short_line():
    assert describe([1] * 1000).endswith("...")
    assert len(describe("x" * 500)) == 120
    assert describe(np.zeros(3)) == "an object of type numpy.ndarray"
    assert describe(dict) == "the class builtins.dict"


def test_refuse_names_argument_rule_value_and_next_step():
    assert str(refuse("size", "must be even", 7, "Use 8.")) == "size must be even; received size=7. Use 8."
