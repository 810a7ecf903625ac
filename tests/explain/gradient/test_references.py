"""Averages over baselines."""

import keras
import numpy as np
import pytest
from oracles import torch_twin

from keras_arch.explain import Attribution, IntegratedGradients
from keras_arch.explain.gradient.references import References

pytestmark = pytest.mark.backend


def test_values_are_the_mean_over_the_rows(tmp_path):
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(3)
    rows = torch_twin.images(5)[3:] * 0.5
    each = [IntegratedGradients(steps=24, baseline=row).explain(model, x, 1) for row in rows]
    got = IntegratedGradients(steps=24, baseline=References(rows)).explain(model, x, 1)
    np.testing.assert_allclose(got.values, np.mean([one.values for one in each], axis=0), atol=1e-6)
    np.testing.assert_allclose(got.baseline_scores, np.mean([one.baseline_scores for one in each], axis=0), rtol=1e-5)
    change = got.scores - got.baseline_scores
    np.testing.assert_allclose(got.convergence_delta, 0, atol=0.02 * np.abs(change).max())
    assert got.baseline is None
    got.save(tmp_path / "a.npz")
    assert Attribution.load(tmp_path / "a.npz").method == got.method


def test_several_inputs_have_rows_in_their_structure(rng):
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((3,), name="b")}
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()([inputs["a"], inputs["b"]])))
    x = {"a": rng.normal(size=(2, 2)), "b": rng.normal(size=(2, 3))}
    rows = {"a": rng.normal(size=(4, 2)), "b": rng.normal(size=(4, 3))}
    got = IntegratedGradients(steps=1, baseline=References(rows)).explain(model, x)
    kernel = model.get_weights()[0][:, 0]
    np.testing.assert_allclose(got.values["b"], (x["b"] - rows["b"].mean(0)) * kernel[2:], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (
            np.ones((2, 3)),
            r"rows must hold one row or more, each of one sample's shape \(2,\); received shapes \(2, 3\)",
        ),
        (np.ones((0, 2)), "rows must hold one row or more"),
        (1.0, "rows must hold one row or more"),
    ],
)
def test_rows_that_do_not_fit_are_named(rows, match):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=match):
        IntegratedGradients(baseline=References(rows)).explain(model, np.ones((2, 2)))
