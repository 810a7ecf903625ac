"""Integrated gradients against closed forms, completeness and Captum."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.explain import IntegratedGradients

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(3)


class Closed(keras.Model):
    """A model given by a formula of keras.ops."""

    def __init__(self, formula):
        super().__init__()
        self.formula = formula

    def call(self, inputs):
        return self.formula(inputs)


def dense_net():
    """Smooth, two layers, every bias nonzero."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="tanh", bias_initializer="random_normal"),
            keras.layers.Dense(4, bias_initializer="random_normal"),
        ]
    )


def test_a_linear_model_gives_weight_times_distance():
    weights = RNG.normal(size=(5, 3)).astype("float32")
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    model.layers[0].set_weights([weights, np.ones(3, "float32")])
    x = RNG.normal(size=(4, 5)).astype("float32")
    for steps in (1, 7):
        got = IntegratedGradients(steps=steps, baseline=0.5).explain(model, x, target=2)
        np.testing.assert_allclose(got.values, (x - 0.5) * weights[:, 2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", ["gauss_legendre", "riemann_middle", "trapezoid"])
def test_a_quadratic_form_is_exact(rule):
    a = RNG.normal(size=(4, 4)).astype("float32")
    a = a + a.T
    x = RNG.normal(size=(3, 4)).astype("float32")
    model = Closed(lambda t: keras.ops.sum(t * (t @ keras.ops.convert_to_tensor(a)), axis=-1))
    got = IntegratedGradients(steps=2, rule=rule).explain(model, x)
    np.testing.assert_allclose(got.values, x * (x @ a), rtol=1e-4, atol=1e-5)


def test_a_product_is_shared_equally():
    x = np.array([[2.0, 3.0, 5.0]], "float32")
    got = IntegratedGradients(steps=2).explain(Closed(lambda t: keras.ops.prod(t, axis=-1)), x)
    np.testing.assert_allclose(got.values, [[10.0, 10.0, 10.0]], rtol=1e-5)


def test_riemann_rules_miss_a_quadratic_by_the_known_amount():
    x = np.array([[3.0]], "float32")  # f = x², gradient 2 t x: left sum (n-1)/n · x², right sum (n+1)/n · x²
    square = Closed(lambda t: keras.ops.square(t[:, 0]))
    for rule, factor in (("riemann_left", 3 / 4), ("riemann_right", 5 / 4)):
        got = IntegratedGradients(steps=4, rule=rule).explain(square, x)
        np.testing.assert_allclose(got.values, [[9 * factor]], rtol=1e-6)
        np.testing.assert_allclose(got.convergence_delta, [9 * factor - 9], rtol=1e-5)
        np.testing.assert_allclose(got.completeness_error, [abs(factor - 1)], rtol=1e-5)


def test_attributions_add_up_to_the_change_of_the_score():
    model, x = dense_net(), RNG.normal(size=(5, 6)).astype("float32")
    start = RNG.normal(size=(5, 6)).astype("float32")
    got = IntegratedGradients(steps=20, baseline=start).explain(model, x, target=[0, 1, 2, 3, 0])
    change = np.take_along_axis(
        ops.convert_to_numpy(model(x)) - ops.convert_to_numpy(model(start)), np.array([[0], [1], [2], [3], [0]]), 1
    )[:, 0]
    np.testing.assert_allclose(got.values.sum(1), change, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got.convergence_delta, got.values.sum(1) - change, atol=1e-6)
    assert got.completeness_error.max() < 1e-4


def test_one_baseline_for_all_and_one_per_sample_agree():
    model, x, start = dense_net(), RNG.normal(size=(3, 6)).astype("float32"), RNG.normal(size=6).astype("float32")
    shared = IntegratedGradients(baseline=start).explain(model, x, 1)
    own = IntegratedGradients(baseline=np.tile(start, (3, 1))).explain(model, x, 1)
    np.testing.assert_array_equal(shared.values, own.values)
    assert shared.baseline.shape == (3, 6)


def test_the_predicted_class_stays_fixed_along_the_path():
    model, x = dense_net(), RNG.normal(size=(6, 6)).astype("float32")
    predicted = ops.convert_to_numpy(model(x)).argmax(1)
    free = IntegratedGradients(steps=8).explain(model, x)
    np.testing.assert_array_equal(free.target, predicted)
    np.testing.assert_array_equal(free.values, IntegratedGradients(steps=8).explain(model, x, predicted).values)


def test_several_inputs_keep_their_structure():
    left, right = keras.Input((2,), name="left"), keras.Input((3,), name="right")
    product = keras.layers.Multiply()([keras.layers.Dense(4)(left), keras.layers.Dense(4)(right)])
    model = keras.Model({"left": left, "right": right}, keras.layers.Dense(1)(product))
    x = {"left": RNG.normal(size=(3, 2)), "right": RNG.normal(size=(3, 3))}
    got = IntegratedGradients(steps=4, baseline={"left": 0.0, "right": np.ones(3)}).explain(model, x)
    assert {name: part.shape for name, part in got.values.items()} == {"left": (3, 2), "right": (3, 3)}
    np.testing.assert_array_equal(got.baseline["right"], np.ones((3, 3)))
    assert got.completeness_error.max() < 1e-4


def token_model():
    keras.utils.set_random_seed(2)
    tokens = keras.Input((5,), dtype="int32")
    embedded = keras.layers.Embedding(11, 3, name="embedding", mask_zero=True)(tokens)
    return keras.Model(tokens, keras.layers.Dense(2, activation="softmax")(keras.layers.LSTM(4)(embedded)))


def test_tokens_are_explained_at_their_embedding():
    model, tokens = token_model(), RNG.integers(1, 11, (3, 5)).astype("int32")
    tokens[0, 3:] = 0
    got = IntegratedGradients(layer="embedding").explain(model, tokens, target=1)
    assert got.values.shape == (3, 5, 3)
    assert got.layer == "embedding"
    np.testing.assert_array_equal(got.values[0, 3:], 0)  # masked steps change nothing
    head = model.layers[-2:]
    embedded = model.get_layer("embedding")(tokens)
    mask = keras.ops.not_equal(tokens, 0)
    from_zero = head[1](head[0](keras.ops.zeros_like(embedded), mask=mask))[:, 1]
    np.testing.assert_allclose(
        got.values.sum((1, 2)), ops.convert_to_numpy(model(tokens)[:, 1] - from_zero), rtol=1e-4, atol=1e-6
    )


def test_the_embedding_of_tokens_is_found(rng):
    model, tokens = token_model(), rng.integers(1, 9, (3, 5)).astype("int32")
    got = IntegratedGradients().explain(model, tokens, target=1)
    assert got.layer == "embedding"
    np.testing.assert_array_equal(got.values, IntegratedGradients(layer="embedding").explain(model, tokens, 1).values)


def test_integers_without_one_embedding_are_refused_with_the_way_out():
    layers, inputs = keras.layers, keras.Input((5,), dtype="int32")
    hidden = layers.Embedding(9, 2, name="one")(inputs) + layers.Embedding(9, 2, name="two")(inputs)
    several = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(hidden)))
    none = keras.Model(inputs, layers.Dense(2)(layers.CategoryEncoding(9, "multi_hot")(inputs)))
    for model, match in ((several, "has the embeddings one, two.*layer="), (none, r"runs no keras.layers.Embedding")):
        with pytest.raises(ValueError, match=rf"x must be floats .* received dtype int32, and the model {match}"):
            IntegratedGradients().explain(model, np.ones((1, 5), "int32"))


def test_a_layer_that_cannot_stand_for_the_input_is_refused():
    model, x = dense_net(), np.ones((1, 6), "float32")
    with pytest.raises(ValueError, match=r"layer must name a layer .* The nearest are: dense"):
        IntegratedGradients(layer="dens").explain(model, x)
    with pytest.raises(ValueError, match=r"layer must be a layer, its name or its path; received layer=3"):
        IntegratedGradients(layer=3).explain(model, x)


@pytest.mark.parametrize(("settings", "match"), [({"steps": 0}, "steps"), ({"rule": "simpson"}, "rule")])
def test_bad_settings_are_named(settings, match):
    with pytest.raises(ValueError, match=match):
        IntegratedGradients(**settings)


def test_a_saturated_target_warns_with_the_cause():
    model = Closed(lambda t: keras.ops.sum(keras.ops.round(t), axis=-1))
    with pytest.warns(UserWarning, match=r"All gradients at the inputs are zero. Likely causes"):
        got = IntegratedGradients(steps=2).explain(model, np.full((1, 2), 0.2, "float32"))
    np.testing.assert_array_equal(got.values, 0)


def test_a_sample_at_its_own_baseline_is_no_reason_to_warn():
    got = IntegratedGradients(steps=2).explain(dense_net(), np.zeros((1, 6), "float32"), 1)
    np.testing.assert_array_equal(got.values, 0)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("ours", "theirs", "factor"),
    [
        ("gauss_legendre", "gausslegendre", 1),
        ("riemann_left", "riemann_left", 1),
        ("riemann_right", "riemann_right", 1),
        ("riemann_middle", "riemann_middle", 1),
        ("trapezoid", "riemann_trapezoid", 12 / 11),  # Captum's weights sum to (n - 1) / n
    ],
)
def test_every_rule_equals_captum(ours, theirs, factor):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    model, x = dense_net(), RNG.normal(size=(4, 6)).astype("float32")
    twin = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
    for layer, kernel_and_bias in ((twin[0], model.layers[0].get_weights()), (twin[2], model.layers[1].get_weights())):
        layer.weight.data = torch.tensor(kernel_and_bias[0].T.copy())
        layer.bias.data = torch.tensor(kernel_and_bias[1])
    start = np.full((4, 6), 0.3, "float32")
    want = attr.IntegratedGradients(twin).attribute(
        torch.tensor(x), torch.tensor(start), target=2, n_steps=12, method=theirs
    )
    want = want.detach().numpy() * factor
    got = IntegratedGradients(steps=12, rule=ours, baseline=0.3).explain(model, x, 2)
    assert np.abs(got.values - want).max() <= 1e-6 * np.abs(want).max()
