"""LIME of tables against normal equations, linear models and the package lime."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.surrogate import fidelity, ridge

from keras_arch.explain.perturbation.tabular_lime import TabularLIME

pytestmark = pytest.mark.backend
L = keras.layers


@pytest.fixture
def table(rng):
    return (rng.normal(size=(200, 4)) * [1.0, 10.0, 0.1, 3.0] + [0.0, 5.0, 1.0, -2.0]).astype("float32")


def net():
    return keras.Sequential([keras.Input((4,)), L.Dense(6, "tanh"), L.Dense(3)])


def test_rows_vary_as_the_training_data_does(table):
    sample = np.array([1.0, 2.0, 3.0, 4.0], "float32")
    free = TabularLIME(table, samples=20000).rows(sample)
    np.testing.assert_array_equal(free[0], sample)
    deviation = table.std(0)
    np.testing.assert_allclose((free[1:].mean(0) - table.mean(0)) / deviation, 0, atol=0.04)
    np.testing.assert_allclose(free[1:].std(0) / deviation, 1, atol=0.03)
    near = TabularLIME(table, samples=20000, around_sample=True).rows(sample)
    np.testing.assert_allclose((near.mean(0) - sample) / deviation, 0, atol=0.04)
    drawn = TabularLIME(table, samples=500, bins=4).rows(sample)
    for column in range(4):
        assert set(drawn[1:, column]) <= set(table[:, column])


@pytest.mark.parametrize("around", [False, True])
def test_coefficients_solve_the_normal_equations_in_deviations(table, around):
    model, x = net(), table[:2]
    method = TabularLIME(table, samples=300, around_sample=around, ridge=0.5, seed=4)
    got = method.explain(model, x, target=1)
    mean, deviation = table.mean(0, dtype="float64"), table.std(0, dtype="float64")
    for row in range(2):
        rows = method.rows(x[row])
        scores = ops.convert_to_numpy(model(rows))[:, 1]
        scaled = (rows - mean) / deviation
        weights = np.exp(-((scaled - scaled[0]) ** 2).sum(1) / 2 / (0.75 * 2) ** 2)
        want, intercept = ridge(scaled, scores, weights, 0.5)
        np.testing.assert_allclose(got.values[row], want, atol=1e-5)
        assert got.details["intercept"][row] == pytest.approx(intercept, abs=1e-5)
        assert got.details["fidelity"][row] == pytest.approx(
            fidelity(scaled @ want + intercept, scores, weights), abs=1e-4
        )
        assert got.details["local_prediction"][row] == pytest.approx(scaled[0] @ want + intercept, abs=1e-5)


def test_bins_compare_with_the_bin_of_the_sample(table):
    model, x = net(), table[:2]
    method = TabularLIME(table, samples=300, bins=4, ridge=0.5)
    got = method.explain(model, x, target=1)
    edges = np.quantile(table, [0.25, 0.5, 0.75], axis=0)
    for row in range(2):
        rows = method.rows(x[row])
        same = np.zeros(rows.shape)
        for place in np.ndindex(*rows.shape):
            at = np.searchsorted(edges[:, place[1]], [rows[place], x[row, place[1]]])
            same[place] = at[0] == at[1]
        scores = ops.convert_to_numpy(model(rows))[:, 1]
        weights = np.exp(-(4 - same.sum(1)) / 2 / 1.5**2)
        want, intercept = ridge(same, scores, weights, 0.5)
        np.testing.assert_allclose(got.values[row], want, atol=1e-5)
        assert got.details["intercept"][row] == pytest.approx(intercept, abs=1e-5)


def test_a_linear_model_gives_its_weights_times_the_deviations(table):
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    weights = np.array(model.layers[0].get_weights()[0])
    got = TabularLIME(table, samples=400, ridge=0.0).explain(model, table[:3], [0, 1, 0])
    want = weights.T[[0, 1, 0]] * table.std(0)
    np.testing.assert_allclose(got.values, want, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(got.details["fidelity"], 1, atol=1e-5)


def test_a_column_that_never_varies_is_left_alone(table):
    table[:, 2] = 7.0
    got = TabularLIME(table, samples=100).explain(net(), table[:1], 0)
    assert np.isfinite(got.values).all()


def test_an_answer_depends_on_the_seed_and_not_on_batch_mates_or_chunks(table):
    model = net()
    for bins in (None, 4):
        method = TabularLIME(table, samples=50, bins=bins)
        whole = method.explain(model, table[:5], 1).values
        np.testing.assert_allclose(method.explain(model, table[:5], 1, batch_size=7).values, whole, atol=1e-5)
        np.testing.assert_allclose(method.explain(model, table[2:3], 1).values[0], whole[2], atol=1e-5)
        assert np.abs(TabularLIME(table, 50, bins, seed=1).explain(model, table[:5], 1).values - whole).max() > 1e-3


def test_the_method_comes_back_with_its_training_data(table):
    method = TabularLIME(table, bins=4)
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(method))
    assert back == method
    assert TabularLIME(table.tolist(), bins=4) == method


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"training_data": np.zeros(3)}, r"training_data must be a table .* received shape \(3,\)"),
        ({"training_data": np.full((3, 4), np.nan)}, "training_data must be a table .* of finite numbers"),
        ({"training_data": np.zeros((3, 5))}, "x must be one table of floats with the 5 columns"),
        ({"samples": 1}, "samples must be an integer >= 2"),
        ({"bins": 1}, "bins must be an integer >= 2"),
        ({"bins": 4, "around_sample": True}, "around_sample must be False with bins"),
        ({"kernel_width": -1}, "kernel_width must be a number in"),
        ({"ridge": np.nan}, "ridge must be a number in"),
        ({"seed": -1}, "seed must be an integer >= 0"),
    ],
)
def test_what_does_not_fit_is_named(settings, match):
    with pytest.raises(ValueError, match=match):
        TabularLIME(**{"training_data": np.eye(4), "samples": 4, **settings}).explain(net(), np.zeros((1, 4)))


@pytest.mark.oracle
@pytest.mark.parametrize("bins", [None, 4])
def test_coefficients_equal_the_package_lime_on_the_same_rows(bins, table):
    base = pytest.importorskip("lime.lime_base", reason="lime is not installed")
    tabular = pytest.importorskip("lime.lime_tabular", reason="lime is not installed")
    model, x = net(), table[:1]
    method = TabularLIME(table, samples=400, bins=bins)
    got = method.explain(model, x, target=1)
    rows = method.rows(x[0])
    scores = ops.convert_to_numpy(model(rows))[:, 1:2]
    explainer = tabular.LimeTabularExplainer(table, mode="regression", discretize_continuous=bins is not None)
    if bins is None:
        data = (rows - explainer.scaler.mean_) / explainer.scaler.scale_
    else:
        bins_of = explainer.discretizer.discretize(rows)
        data = (bins_of == bins_of[:1]).astype(float)
    away = np.sqrt(((data - data[0]) ** 2).sum(1))
    fit = base.LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / (0.75 * 2) ** 2)), random_state=0)
    intercept, pairs, r2, prediction = fit.explain_instance_with_data(data, scores, away, 0, 4, "none")
    np.testing.assert_allclose(got.values[0], [dict(pairs)[one] for one in range(4)], atol=1e-6)
    assert got.details["intercept"][0] == pytest.approx(intercept, abs=1e-6)
    assert got.details["fidelity"][0] == pytest.approx(r2, abs=1e-5)
    assert got.details["local_prediction"][0] == pytest.approx(prediction[0], abs=1e-6)
