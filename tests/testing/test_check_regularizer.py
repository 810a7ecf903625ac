"""check_regularizer accepts a good regularizer, and each of its checks catches one that is broken that way."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.testing import check_regularizer
from keras_arch.testing.check_regularizer import CHECKS

pytestmark = pytest.mark.backend

NAMES = [one.name for one in CHECKS]
COMPILED = ("gradient", "gradient_at_zeros_is_finite", "jit_compile", "keras_file")


@keras.saving.register_keras_serializable(package="tests")
class Squares(keras.Regularizer):
    def __init__(self, factor=1.0):
        self.factor = factor

    def __call__(self, x):
        return self.factor * ops.sum(ops.square(ops.cast(x, "float32")))

    def get_config(self):
        return {"factor": self.factor}


NUMBERS = itertools.count()


def broken(**methods):
    """A registered class that is like Squares but for some methods."""
    cls = type(f"BrokenSquares{next(NUMBERS)}", (Squares,), methods)
    return keras.saving.register_keras_serializable(package="tests")(cls)


def counts_up(self, factor=1.0):
    Squares.__init__(self, factor + 1)


def run(cls, only, *, activity=False):
    skip = {name: "not in question" for name in NAMES if name not in only}
    return check_regularizer(cls, {"factor": 0.5}, [(3, 4)], activity=activity, skip=skip)


def test_a_good_regularizer_passes_every_check():
    report = check_regularizer(Squares, {"factor": 0.5}, [(3, 4), (2, 2, 3)])
    left_out = {name for name, _ in report.left_out}
    assert [name for name in NAMES if name not in left_out] == [name for name, _ in report.passed]
    assert left_out == ({"jit_compile"} if keras.backend.backend() == "torch" else set())


@pytest.mark.parametrize(
    ("cls", "caught"),
    [
        (broken(__call__=lambda self, x: self.factor * ops.sum(x**2, axis=0)), "a_penalty_is_a_scalar"),
        (broken(__call__=lambda self, x: -self.factor * ops.sum(x**2)), "a_penalty_is_a_scalar"),
        (broken(__call__=lambda self, x: self.factor * ops.sum((x - 1.0) ** 2)), "zero_at_zero"),
        (broken(__call__=lambda self, x: ops.sum(x**2)), "every_argument_matters"),
        (broken(__init__=counts_up), "values_survive_the_config"),
        (broken(__init__=counts_up), "config_round_trip"),
        (broken(__call__=lambda self, x: self.factor * ops.sum(x**2)), "low_precision"),
        (broken(get_config=lambda self: {}), "config_holds_every_argument"),
        (type("Unknown", (Squares,), {}), "class_serialization"),
    ],
)
def test_a_broken_regularizer_is_caught(cls, caught):
    with pytest.raises(AssertionError, match=f"- {caught}: "):
        run(cls, set(NAMES) - set(COMPILED))


@pytest.mark.parametrize(
    ("cls", "caught"),
    [
        (
            broken(__call__=lambda self, x: self.factor * ops.sum(x * ops.stop_gradient(x))),
            "gradient",
        ),
        (
            broken(__call__=lambda self, x: self.factor * ops.sum(ops.sqrt(ops.sum(x**2, axis=0)))),
            "gradient_at_zeros_is_finite",
        ),
        (broken(__init__=counts_up), "keras_file"),
    ],
)
def test_a_broken_gradient_or_file_is_caught(cls, caught):
    with pytest.raises(AssertionError, match=f"- {caught}: "):
        run(cls, {caught})


def test_a_regularizer_that_does_not_compile_is_caught():
    if keras.backend.backend() == "torch":
        pytest.skip("Keras compiles with XLA on TensorFlow and JAX only")

    def through_python(self, x):
        return Squares.__call__(self, x) * (2.0 if float(np.asarray(x).sum()) > 0 else 1.0)

    with pytest.raises(AssertionError, match="- jit_compile: "):
        run(broken(__call__=through_python), {"jit_compile"})


@pytest.mark.parametrize(
    ("caught", "activity", "message"),
    [
        ("penalizes_a_layer", False, "a layer with a weight"),
        ("penalizes_outputs", True, "the loss of outputs of the shape"),
    ],
)
def test_a_regularizer_that_a_layer_changes_is_caught(caught, activity, message):
    class Counting(Squares):
        calls = 0

        def __call__(self, x):
            Counting.calls += 1
            return super().__call__(x) * Counting.calls

    with pytest.raises(AssertionError, match=f"- {caught}: {message}"):
        run(Counting, {caught}, activity=activity)


def test_outputs_are_asked_about_only_of_activity_regularizers():
    assert "penalizes_outputs" in [name for name, _ in run(Squares, set(), activity=True).passed]
    assert not run(Squares, set()).passed
