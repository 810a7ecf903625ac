"""Measurements, the names of metrics, and variables that come back."""

import keras
import numpy as np
import pytest

from keras_arch.compression.evaluation import (
    bearable,
    better,
    check_verbose,
    chosen,
    lent,
    measurement,
    numbers,
    progress,
)

pytestmark = pytest.mark.backend


def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)])


def test_a_measure_is_called_with_the_model_and_evaluate_without_one():
    network = model()
    assert measurement(network, lambda given: given is network, {})() is True
    network.compile(loss="mse")
    found = measurement(network, None, {"x": np.ones((3, 2)), "y": np.zeros((3, 1))})()
    assert found == {"loss": pytest.approx(4.0)}


@pytest.mark.parametrize(
    ("measure", "data", "match"),
    [
        (None, {"x": 1}, "model must be compiled"),
        (len, {"x": 1}, "x must be None beside a measure"),
        (3, {}, "measure must be a callable"),
    ],
)
def test_what_cannot_be_measured_is_refused(measure, data, match):
    with pytest.raises(ValueError, match=match):
        measurement(model(), measure, data)


def test_data_has_to_be_readable_again():
    network = model()
    network.compile(loss="mse")
    with pytest.raises(ValueError, match="not an iterator"):
        measurement(network, None, {"x": iter([1])})
    with pytest.raises(ValueError, match="x must be data"):
        measurement(network, None, {})


def test_results_are_floats_by_name():
    assert numbers(np.float32(2), "measure", "here") == {"measure": 2.0}
    assert numbers({"a": 1}, "measure", "here", {"a": 0.0}) == {"a": 1.0}
    for bad in ({}, {"b": 1}, {3: 1}):
        with pytest.raises(ValueError, match=r"measure must return the names \['a'\] again"):
            numbers(bad, "measure", "here", {"a": 0.0})
    for bad in (float("nan"), float("inf"), True, "2", np.ones(2)):
        with pytest.raises(ValueError, match="must return finite numbers; .* here"):
            numbers(bad, "measure", "here")


def test_variables_come_back_when_asked_and_after_errors():
    network = model()
    kernel = network.layers[0].kernel

    def fail():
        with lent(network, [kernel]) as give_back:
            kernel.assign(np.zeros((2, 1)))
            give_back()
            assert kernel.numpy().tolist() == [[1.0], [1.0]]
            kernel.assign(np.zeros((2, 1)))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert kernel.numpy().tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("loss", "min"), ("score_loss", "min"), ("accuracy", "max"), ("root_mean_squared_error", "min"), ("auc", "max")],
)
def test_the_last_word_that_tells_decides(name, expected):
    assert better("auto", name) == expected
    assert better("min", name) == "min"
    with pytest.raises(ValueError, match="unknown metric 'fun'"):
        better("auto", "fun")


def test_bars_are_silent_or_not():
    for verbose in (0, 1, "auto"):
        check_verbose(verbose)
        assert progress(2, verbose).verbose == int(verbose != 0)
    for verbose in (True, 2, "loud"):
        with pytest.raises(ValueError, match="verbose must be 0, 1 or 'auto'"):
            check_verbose(verbose)


@pytest.mark.parametrize(
    ("values", "drop", "mode", "count"),
    [
        ((0.9, 0.8, 0.7), 0.1, "max", 2),
        ((0.9, 0.8), 0.0, "max", 1),
        ((0.5, 1.2, 0.9), 0.1, "min", 1),
        ((), 1.0, "min", 0),
    ],
)
def test_what_is_borne_ends_at_the_first_that_costs_more(values, drop, mode, count):
    assert bearable(values, baseline=0.9, drop=drop, mode=mode) == count


def test_the_loss_is_chosen_unless_another_metric_is_named():
    assert chosen(None, {"accuracy": 1.0, "loss": 2.0}) == "loss"
    assert chosen(None, {"accuracy": 1.0}) == "accuracy"
    with pytest.raises(ValueError, match="metric"):
        chosen("f1", {"accuracy": 1.0})
