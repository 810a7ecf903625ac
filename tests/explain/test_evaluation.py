"""Tables of methods against measures."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from keras_arch.explain import GradCAM, IntegratedGradients
from keras_arch.explain.evaluation import Evaluation, evaluate
from keras_arch.explain.metrics import Deletion, Measurement, Sparseness, deletion

pytestmark = pytest.mark.backend
L = keras.layers


def net():
    inputs = keras.Input((6, 6, 2))
    maps = L.Conv2D(4, 3, activation="tanh", name="features")(inputs)
    return keras.Model(inputs, L.Softmax()(L.Dense(3)(L.GlobalAveragePooling2D()(maps))))


def test_every_method_meets_every_measure_on_the_same_target(rng):
    model, x = net(), rng.normal(size=(5, 6, 6, 2)).astype("float32")
    metrics = ["deletion", Deletion(steps=4), Sparseness]
    got = evaluate(["integrated_gradients", GradCAM(relu=False)], model, x, metrics, output="logits", batch_size=4)
    assert got.methods == ("IntegratedGradients", "GradCAM")
    assert got.metrics == ("Deletion()", "Deletion(steps=4)", "sparseness")
    assert got.samples == 5
    attribution = GradCAM(relu=False).explain(model, x, output="logits")
    want = deletion(model, attribution, steps=4, output="logits").values
    np.testing.assert_allclose(got.values["GradCAM"]["Deletion(steps=4)"].values, want, rtol=1e-4, atol=1e-6)
    assert all(second > 0 for second in got.seconds.values())


def test_settings_name_methods_of_one_class(rng):
    methods = [IntegratedGradients(steps=2), IntegratedGradients(steps=4)]
    got = evaluate(methods, net(), rng.normal(size=(1, 6, 6, 2)), ["sparseness"], target=1)
    assert got.methods == ("IntegratedGradients(steps=2)", "IntegratedGradients(steps=4)")


def test_functions_and_several_outputs_can_be_targets(rng):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"a": L.Dense(3, name="a")(inputs), "b": L.Dense(1, name="b")(inputs)})
    x = rng.normal(size=(3, 4)).astype("float32")
    for target in ({"a": None, "b": None}, lambda outputs: keras.ops.sum(outputs["a"], axis=-1)):
        got = evaluate([IntegratedGradients()], model, x, ["deletion", "infidelity", "max_sensitivity"], target)
        assert np.isfinite([got.values["IntegratedGradients"][name].mean for name in got.metrics]).all()


def measured(metric, *values, direction="lower"):
    return Measurement(metric, np.array(values, "float32"), direction, (0.0, 1.0))


FIXED = Evaluation(
    {
        "GradCAM": {
            "deletion": measured(Deletion(), 0.25, 0.75),
            "sparseness": measured(Sparseness(), 0.5, 0.5, direction="higher"),
        },
        "IntegratedGradients": {
            "deletion": measured(Deletion(), 0.25, 0.25),
            "sparseness": measured(Sparseness(), 0.5, 0.25, direction="higher"),
        },
    },
    {"GradCAM": 0.5, "IntegratedGradients": 0.0625},
    2,
)


def test_it_prints_as_a_table_with_the_best_marked():
    assert str(FIXED).splitlines() == [
        "method               deletion ↓    sparseness ↑    s/sample",
        "GradCAM              0.5 ± 0.25    0.5 ± 0      *       0.5",
        "IntegratedGradients  0.25 ± 0   *  0.375 ± 0.12       0.062",
        "2 samples; mean ± deviation over them, * best mean",
    ]
    assert repr(FIXED) == "Evaluation(2 methods, 2 metrics, 2 samples)"


def test_the_best_follow_the_direction_and_ties_and_unknown_means():
    assert FIXED.best("deletion") == ("IntegratedGradients",)
    assert FIXED.best("sparseness") == ("GradCAM",)
    with pytest.raises(ValueError, match="metric must be one of 'deletion', 'sparseness'; received metric='loss'"):
        FIXED.best("loss")
    nothing = measured(Deletion(), np.nan)
    tied = Evaluation({name: {"deletion": measured(Deletion(), 1)} for name in "ab"}, {"a": 1, "b": 1}, 1)
    assert tied.best("deletion") == ("a", "b")
    half = Evaluation({"a": {"deletion": nothing}, "b": {"deletion": measured(Deletion(), 1)}}, {"a": 1, "b": 1}, 1)
    assert half.best("deletion") == ("b",)
    assert Evaluation({"a": {"deletion": nothing}}, {"a": 1}, 1).best("deletion") == ()


def test_plain_data_survive_json_and_it_is_frozen():
    plain = json.loads(json.dumps(FIXED.to_dict(), allow_nan=False))
    assert plain["methods"]["GradCAM"]["metrics"]["deletion"]["mean"] == 0.5
    assert plain["methods"]["GradCAM"]["seconds"] == 0.5
    with pytest.raises(dataclasses.FrozenInstanceError):
        FIXED.samples = 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": []}, "methods must be a list of at least one"),
        ({"methods": "grad_cam"}, r"methods must be a list of at least one; received methods='grad_cam'. Pass a list"),
        ({"methods": ["gradcam"]}, "methods must be an object or one of .*Did you mean 'grad_cam'"),
        ({"methods": [3]}, "methods must hold objects of keras_arch.explain.method.Method"),
        ({"metrics": ["deletoin"]}, "metrics must be an object or one of .*Did you mean 'deletion'"),
        ({"metrics": [deletion]}, r"metrics must hold objects of keras_arch\.explain\.metrics\.metric\.Metric"),
        ({"metrics": ["blur"]}, "metrics must hold objects of"),
        ({"metrics": ["metric"]}, "metrics must hold objects of"),
        ({"metrics": ["deletion", "deletion"]}, "metrics must differ from each other"),
        ({"metrics": ["pointing_game"]}, "regions must say where the objects are"),
    ],
)
def test_what_is_unknown_is_refused_before_anything_is_explained(arguments, message):
    given = {"methods": [IntegratedGradients()], "metrics": ["deletion"], **arguments}
    with pytest.raises(ValueError, match=message):
        evaluate(given["methods"], net(), np.zeros((1, 6, 6, 2)), given["metrics"])


def test_it_draws_itself():
    assert len(FIXED.plot().axes) == 2
