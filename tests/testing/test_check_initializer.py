"""check_initializer accepts a good initializer, and each of its checks catches one that is broken that way."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.testing import check_initializer
from keras_arch.testing.check_initializer import CHECKS

pytestmark = pytest.mark.backend

NAMES = [one.name for one in CHECKS]
SLOW = ("jit_compile", "keras_file")


@keras.saving.register_keras_serializable(package="tests")
class Normal(keras.initializers.RandomNormal):
    """Draws in float32 and casts, as the house asks."""

    def __init__(self, stddev=1.0, seed=None):
        super().__init__(stddev=stddev, seed=seed)

    def __call__(self, shape, dtype=None):
        return ops.cast(super().__call__(shape, dtype="float32"), dtype or keras.config.floatx())

    def get_config(self):
        config = super().get_config()
        return {"stddev": config["stddev"], "seed": config["seed"]}


NUMBERS = itertools.count()


def broken(base=Normal, **methods):
    """A registered class that is like `base` but for some methods."""
    cls = type(f"Broken{next(NUMBERS)}", (base,), methods)
    return keras.saving.register_keras_serializable(package="tests")(cls)


def always_float32(self, shape, dtype=None):
    return keras.initializers.RandomNormal(stddev=self.stddev, seed=self.seed)(shape, dtype="float32")


def transposed(self, shape, dtype=None):
    return Normal.__call__(self, shape[::-1], dtype)


def half_precision(self, shape, dtype=None):
    drawn = always_float32(self, shape)
    return ops.cast(ops.cast(drawn, "bfloat16") if dtype == "float16" else drawn, dtype or "float32")


def unseeded(self, shape, dtype=None):
    return ops.cast(keras.random.normal(shape, stddev=self.stddev), dtype or "float32")


def fixed(self, shape, dtype=None):
    return ops.cast(keras.random.normal(shape, stddev=self.stddev, seed=1), dtype or "float32")


def ignores_stddev(self, shape, dtype=None):
    return ops.cast(keras.random.normal(shape, seed=self.seed), dtype or "float32")


def through_numpy(self, shape, dtype=None):
    drawn = Normal.__call__(self, shape, "float32")
    return ops.cast(drawn * float(np.sign(abs(np.asarray(drawn)).sum())), dtype or "float32")


def counts_up(self, stddev=1.0, seed=None):
    Normal.__init__(self, stddev + 1, seed)


@keras.saving.register_keras_serializable(package="tests")
class Ramp(keras.initializers.Initializer):
    """Values without chance."""

    def __init__(self, slope=1.0):
        self.slope = slope

    def __call__(self, shape, dtype=None):
        values = self.slope * np.arange(np.prod(shape), dtype="float32").reshape(shape)
        return ops.cast(ops.convert_to_tensor(values), dtype or keras.config.floatx())

    def get_config(self):
        return {"slope": self.slope}


def grows_with_each_call(self, shape, dtype=None):
    type(self).calls = getattr(type(self), "calls", 0) + 1
    return Ramp.__call__(self, shape, dtype) * type(self).calls


@pytest.mark.parametrize(
    ("cls", "arguments", "unasked"),
    [(Normal, {"stddev": 2.0, "seed": 4}, set()), (Ramp, {"slope": 2.0}, {"other_seed_other_values"})],
)
def test_a_good_initializer_passes_every_check(cls, arguments, unasked):
    report = check_initializer(cls, arguments, [(3, 4), (2, 3, 4)])
    left_out = {name for name, _ in report.left_out}
    assert [name for name in NAMES if name not in left_out] == [name for name, _ in report.passed]
    assert left_out == unasked | ({"jit_compile"} if keras.backend.backend() == "torch" else set())


@pytest.mark.parametrize(
    ("cls", "caught"),
    [
        (broken(__call__=always_float32), "shapes_and_dtypes"),
        (broken(__call__=transposed), "shapes_and_dtypes"),
        (broken(__call__=half_precision), "low_precision_is_rounded_float32"),
        (broken(__call__=unseeded), "same_seed_same_values"),
        (broken(__call__=fixed), "other_seed_other_values"),
        (broken(__call__=ignores_stddev), "every_argument_matters"),
        (broken(__init__=counts_up), "values_survive_the_config"),
        (broken(__init__=counts_up), "config_round_trip"),
        (broken(get_config=lambda self: {"stddev": self.stddev}), "config_holds_every_argument"),
        (type("Unknown", (Normal,), {}), "class_serialization"),
    ],
)
def test_a_broken_initializer_is_caught(cls, caught):
    skip = dict.fromkeys(SLOW, "not in question")
    with pytest.raises(AssertionError, match=f"- {caught}: "):
        check_initializer(cls, {"stddev": 2.0, "seed": 4}, [(3, 4)], skip=skip)


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (broken(__call__=through_numpy), {"stddev": 2.0, "seed": 4}, "raised "),
        (broken(Ramp, __call__=grows_with_each_call), {"slope": 2.0}, "values under jit_compile=True against eager"),
    ],
)
def test_an_initializer_that_does_not_compile_is_caught(cls, arguments, message):
    if keras.backend.backend() == "torch":
        pytest.skip("Keras compiles with XLA on TensorFlow and JAX only")
    skip = {name: "not in question" for name in NAMES if name != "jit_compile"}
    with pytest.raises(AssertionError, match=f"- jit_compile: {message}"):
        check_initializer(cls, arguments, [(3, 4)], skip=skip)


def test_a_file_that_does_not_bring_the_initializer_back_is_caught():
    skip = {name: "not in question" for name in NAMES if name != "keras_file"}
    with pytest.raises(AssertionError, match="- keras_file: the loaded initializer has the config"):
        check_initializer(broken(__init__=counts_up), {"stddev": 2.0, "seed": 4}, [(3, 4)], skip=skip)


def test_an_initializer_that_a_layer_changes_is_caught():
    class Counting(Normal):
        calls = 0

        def __call__(self, shape, dtype=None):
            Counting.calls += 1
            return super().__call__(shape, dtype) * Counting.calls

    skip = {name: "not in question" for name in NAMES if name != "initializes_a_layer"}
    with pytest.raises(AssertionError, match="- initializes_a_layer: the weight of a layer has other values"):
        check_initializer(Counting, {"stddev": 2.0, "seed": 4}, [(3, 4)], skip=skip)


def test_unknown_checks_and_missing_shapes_are_refused():
    with pytest.raises(ValueError, match="skip must name checks that exist; received jit"):
        check_initializer(Normal, {}, [(2, 2)], skip={"jit": "typo"})
    with pytest.raises(ValueError, match="shapes must hold at least one weight shape"):
        check_initializer(Normal, {}, [])
