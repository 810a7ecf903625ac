"""check_constraint accepts a good constraint, and each of its checks catches one that is broken that way."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.testing import check_constraint
from keras_arch.testing.check_constraint import CHECKS

pytestmark = pytest.mark.backend

NAMES = [one.name for one in CHECKS]
TRAINED = ("constrains_a_layer", "jit_compile", "keras_file")


@keras.saving.register_keras_serializable(package="tests")
class Ball(keras.constraints.Constraint):
    """Projects a weight onto the ball of a radius."""

    def __init__(self, radius=1.0):
        self.radius = radius

    def __call__(self, w):
        wide = ops.cast(w, "float32")
        norm = ops.sqrt(ops.sum(ops.square(wide)))
        return ops.cast(wide * (self.radius / ops.maximum(norm, self.radius)), w.dtype)

    def get_config(self):
        return {"radius": self.radius}


NUMBERS = itertools.count()


def broken(**methods):
    """A registered class that is like Ball but for some methods."""
    cls = type(f"BrokenBall{next(NUMBERS)}", (Ball,), methods)
    return keras.saving.register_keras_serializable(package="tests")(cls)


def grows(self, radius=1.0):
    Ball.__init__(self, radius + 1)


def norm_of(w):
    return ops.sqrt(ops.sum(ops.square(w)))


def drifts(self, w):
    self.calls = getattr(self, "calls", 0) + 1
    return Ball.__call__(self, w) * (1 - 0.1 * self.calls)


def run(cls, only, declares=()):
    skip = {name: "not in question" for name in NAMES if name not in only}
    return check_constraint(cls, {"radius": 0.5}, [(3, 4)], declares=declares, skip=skip)


def test_a_good_constraint_passes_every_check():
    report = check_constraint(Ball, {"radius": 0.5}, [(3, 4), (2, 2, 3)], declares=["idempotent", "nonexpansive"])
    left_out = {name for name, _ in report.left_out}
    wanted = [name for name in (*NAMES, "idempotent", "nonexpansive") if name not in left_out]
    assert wanted == [name for name, _ in report.passed]
    assert left_out == ({"jit_compile"} if keras.backend.backend() == "torch" else set())


@pytest.mark.parametrize(
    ("cls", "caught"),
    [
        (broken(__call__=lambda self, w: norm_of(w)), "shapes_and_dtypes"),
        (broken(__call__=lambda self, w: ops.cast(Ball.__call__(self, w), "float32")), "shapes_and_dtypes"),
        (broken(__call__=lambda self, w: w * (self.radius / norm_of(w))), "finite_at_zeros"),
        (broken(__call__=drifts), "same_weight_same_result"),
        (broken(__call__=lambda self, w: ops.clip(w, -1, 1)), "every_argument_matters"),
        (broken(__init__=grows), "values_survive_the_config"),
        (broken(__init__=grows), "config_round_trip"),
        (broken(__call__=lambda self, w: w * (self.radius / ops.maximum(norm_of(w), self.radius))), "low_precision"),
        (broken(get_config=lambda self: {}), "config_holds_every_argument"),
        (type("UnknownBall", (Ball,), {}), "class_serialization"),
    ],
)
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value) encountered:RuntimeWarning")
def test_a_broken_constraint_is_caught(cls, caught):
    with pytest.raises(AssertionError, match=f"- {caught}: "):
        run(cls, {caught})


def test_a_constraint_that_takes_no_variable_is_caught():
    def tensors_only(self, w):
        if isinstance(w, keras.Variable):
            return w.value
        return Ball.__call__(self, w)

    with pytest.raises(AssertionError, match="- constrains_a_layer: the weight of the shape"):
        run(broken(__call__=tensors_only), {"constrains_a_layer"})


def test_a_constraint_that_does_not_compile_is_caught():
    if keras.backend.backend() == "torch":
        pytest.skip("Keras compiles with XLA on TensorFlow and JAX only")

    def through_python(self, w):
        return Ball.__call__(self, w) * (1.0 if float(np.asarray(ops.convert_to_tensor(w)).sum()) > 0 else 0.5)

    with pytest.raises(AssertionError, match="- jit_compile: "):
        run(broken(__call__=through_python), {"jit_compile"})


def test_a_constraint_that_a_file_changes_is_caught():
    with pytest.raises(AssertionError, match="- keras_file: "):
        run(broken(__init__=grows), {"keras_file"})


@pytest.mark.parametrize(
    ("call", "promise"),
    [
        (lambda self, w: w * 0.9, "idempotent"),
        (lambda self, w: w * 1.1, "nonexpansive"),
        (lambda self, w: w * (self.radius / norm_of(w)), "nonexpansive"),  # a sphere is not convex
    ],
)
def test_a_promise_that_is_not_kept_is_caught(call, promise):
    with pytest.raises(AssertionError, match=f"- {promise}: "):
        run(broken(__call__=call), set(), [promise])


def test_an_unknown_promise_raises():
    with pytest.raises(ValueError, match="declares must be one of 'idempotent', 'nonexpansive'"):
        run(Ball, set(), ["convex"])
