"""Every public measure of explanations on every kind of model: its range, batches, flat maps, documented errors."""

import dataclasses
import inspect
import math

import keras
import numpy as np
import pytest
from conformance.zoo import ZOO, Case

from keras_arch.core.identifiers import snake_case
from keras_arch.explain import Attribution, IntegratedGradients, metrics
from keras_arch.explain.metrics import Metric

pytestmark = pytest.mark.backend


def names() -> list[str]:
    found = {name: getattr(metrics, name) for name in metrics.__all__}
    return sorted(
        name for name, one in found.items() if inspect.isclass(one) and issubclass(one, Metric) and one is not Metric
    )


def boxes(case: Case) -> list:
    """One box a sample, in the first position along every axis."""
    leaf = keras.tree.flatten(case.x)[0]
    axes = 1 if leaf.ndim == 2 else leaf.ndim - 2
    return [(0,) * axes + (2,) * axes] * len(leaf)


SETTINGS = {
    "Infidelity": lambda case: {"draws": 4},
    "MaxSensitivity": lambda case: {"draws": 3},
    "PointingGame": lambda case: {"regions": boxes(case), "tolerance": 1},
}
# What a flat map is worth where the measure documents one number for it.
FLAT = {"Sparseness": lambda size: 0.0, "Complexity": math.log, "PointingGame": lambda size: 0.0}
REFUSALS = {
    ("MaxSensitivity", "tokens"): "Token ids have no neighbourhood",
    ("PointingGame", "multi_input"): "attribution must be of one input to point somewhere",
}


def metric_of(name: str, case: Case) -> Metric:
    return getattr(metrics, name)(**SETTINGS.get(name, lambda case: {})(case))


def measure(name: str, case: Case, attribution: Attribution, samples: slice = slice(None)):
    metric = metric_of(name, case)
    if name == "PointingGame":
        metric = dataclasses.replace(metric, regions=metric.regions[samples])
    return metric.measure(case.model, attribution[samples], batch_size=4)


def test_every_metric_says_what_it_is():
    assert {"Deletion", "Insertion", "Infidelity", "MaxSensitivity", "Sparseness"} <= set(names())
    assert {"Complexity", "PointingGame", "Randomization"} <= set(names())
    for name in names():
        kind = getattr(metrics, name)
        assert kind.direction in ("higher", "lower")
        assert kind.range[0] < kind.range[1]
        text = inspect.getdoc(kind)
        assert f"{kind.direction.capitalize()} is better" in text, f"{name} does not document its direction"
        assert "Source:" in text, f"{name} does not cite its definition"


def test_every_metric_has_a_function_with_the_same_settings():
    for name in names():
        kind, door = getattr(metrics, name), getattr(metrics, snake_case(name))
        fields = {part.name: part for part in dataclasses.fields(kind)}
        parameters = inspect.signature(door).parameters
        assert list(parameters)[:2] == ["model", "attribution"]
        assert {*parameters} - {"model", "attribution", "options"} == set(fields), name
        for setting, part in fields.items():
            default = part.default if part.default_factory is dataclasses.MISSING else part.default_factory()
            assert parameters[setting].default in (default, inspect.Parameter.empty), f"{name}.{setting}"


@pytest.mark.parametrize("kind", ZOO)
def test_metrics_hold_their_promise_on_every_kind_of_model(kind):
    case = ZOO[kind]()
    attribution = IntegratedGradients(steps=4).explain(case.model, case.x, case.target)
    weights = [np.array(weight) for weight in case.model.get_weights()]
    generator = np.random.default_rng(3)
    made_up = keras.tree.map_structure(
        lambda leaf: generator.normal(size=leaf.shape).astype("float32"), attribution.values
    )
    flat = {
        number: keras.tree.map_structure(lambda leaf, n=number: np.full_like(leaf, n), made_up) for number in (0, 2)
    }
    size = sum(leaf[0].size for leaf in keras.tree.flatten(made_up))
    for name in names():
        if (name, kind) in REFUSALS:
            with pytest.raises(ValueError, match=REFUSALS[name, kind]):
                measure(name, case, attribution)
            continue
        got = measure(name, case, dataclasses.replace(attribution, values=made_up))
        assert (got.values.shape, got.values.dtype) == ((3,), np.float32)
        assert got.direction == getattr(metrics, name).direction
        low, high = got.range
        assert getattr(metrics, name).range[0] <= low < high <= getattr(metrics, name).range[1]
        assert ((got.values >= low) & (got.values <= high)).all(), name
        if got.curves is not None:
            assert got.curves.shape == (3, len(got.fractions))
            np.testing.assert_allclose(got.fractions[[0, -1]], [0, 1])
        for number, values in flat.items():
            got = measure(name, case, dataclasses.replace(attribution, values=values))
            assert np.isfinite(got.values).all(), f"{name} of a map of {number}"
            if name in FLAT:
                np.testing.assert_allclose(got.values, FLAT[name](size), rtol=1e-5)
    for was, now in zip(weights, case.model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize("kind", ["functional", "multi_input", "tokens", "sequence", "segmentation"])
def test_a_sample_does_not_depend_on_its_batch_mates(kind):
    case = ZOO[kind]()
    attribution = IntegratedGradients(steps=4).explain(case.model, case.x, case.target)
    for name in names():
        if (name, kind) in REFUSALS:
            continue
        together = measure(name, case, attribution).values
        alone = measure(name, case, attribution, slice(1, 2)).values
        np.testing.assert_allclose(together[1:2], alone, rtol=2e-3, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", names())
def test_a_map_that_is_not_finite_is_refused(name):
    case = ZOO["vectors"]()
    broken = Attribution(np.full((3, 4), np.nan), case.x, [0, 1, 2], None, np.zeros(3), method=IntegratedGradients())
    broken = dataclasses.replace(broken, scores=keras.ops.convert_to_numpy(case.model(case.x))[range(3), range(3)])
    with pytest.raises(ValueError, match="attribution must be finite"):
        metric_of(name, case).measure(case.model, broken)
