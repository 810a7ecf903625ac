"""Max-sensitivity in closed form and against Captum."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_arch.explain import GradCAM, IntegratedGradients
from keras_arch.explain.metrics import MaxSensitivity, max_sensitivity

L = keras.layers


def shifts(count, width, radius, seed=0):
    return np.stack([np.random.default_rng([seed, k]).uniform(-radius, radius, width) for k in range(count)])


@pytest.mark.backend
def test_integrated_gradients_of_a_linear_model_move_by_weight_times_shift(rng):
    model = keras.Sequential([keras.Input((5,)), L.Dense(3)])
    weights = model.get_weights()[0][:, 1]
    x = rng.normal(size=(4, 5)).astype("float32")
    got = max_sensitivity(model, IntegratedGradients().explain(model, x, target=1), radius=0.3, draws=7, seed=2)
    moved = np.linalg.norm(weights * shifts(7, 5, 0.3, 2), axis=1).max()
    np.testing.assert_allclose(got.values, moved / np.linalg.norm(weights * x, axis=1), rtol=1e-4)
    assert got.direction == "lower"


@pytest.mark.backend
def test_more_draws_only_raise_it_and_batches_do_not_matter(rng):
    model = keras.Sequential([keras.Input((5,)), L.Dense(4, activation="tanh"), L.Dense(3)])
    attribution = IntegratedGradients().explain(model, rng.normal(size=(3, 5)).astype("float32"))
    few, many = (MaxSensitivity(draws=count).measure(model, attribution, batch_size=4).values for count in (3, 12))
    assert (many >= few).all()
    np.testing.assert_allclose(MaxSensitivity(draws=12).measure(model, attribution[1]).values, many[1:2], rtol=1e-4)


@pytest.mark.backend
def test_the_target_is_that_of_the_unmoved_sample(rng):
    model = keras.Sequential([keras.Input((2,)), L.Dense(2, use_bias=False)])
    model.set_weights([np.array([[1.0, 0.0], [0.0, 9.0]], "float32")])
    x = np.array([[1.0, 0.1]], "float32")  # class 0 by a little: moved, class 1 wins at times
    got = max_sensitivity(model, IntegratedGradients().explain(model, x), radius=0.2, draws=30)
    np.testing.assert_allclose(got.values, np.abs(shifts(30, 2, 0.2)[:, 0]).max(), rtol=1e-4)


@pytest.mark.backend
def test_where_the_attribution_is_zero_the_change_is_the_value():
    model = keras.Sequential([keras.Input((3,)), L.Dense(1, kernel_initializer="ones")])
    attribution = IntegratedGradients().explain(model, np.ones((1, 3), "float32"))
    nothing = dataclasses.replace(attribution, values=np.zeros((1, 3), "float32"))
    got = max_sensitivity(model, nothing, radius=0.5)
    np.testing.assert_allclose(got.values, np.linalg.norm(1 + shifts(10, 3, 0.5), axis=1).max(), rtol=1e-5)


@pytest.mark.backend
def test_what_cannot_be_explained_again_is_refused(rng):
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, activation="softmax")])
    x = rng.normal(size=(2, 4)).astype("float32")
    attribution = IntegratedGradients().explain(model, x, output="logits")
    with pytest.raises(
        ValueError, match="attribution must know its method to be explained again; received attribution=None"
    ):
        max_sensitivity(model, dataclasses.replace(attribution, method=None))
    with pytest.raises(ValueError, match="of this model, target and output to be explained again.*output='model'"):
        max_sensitivity(model, attribution, output="model")
    assert (max_sensitivity(model, attribution).values > 0).all()  # scored by the logits, which it was made for
    tokens = keras.Sequential([keras.Input((4,), dtype="int32"), L.Embedding(5, 2), L.Flatten(), L.Dense(2)])
    of_ids = IntegratedGradients().explain(tokens, np.ones((1, 4), "int32"))
    with pytest.raises(ValueError, match="inputs that can change by little.*Token ids have no neighbourhood"):
        max_sensitivity(tokens, of_ids)
    for settings, message in [
        ({"radius": 0}, "radius must be"),
        ({"draws": 0}, "draws must be"),
        ({"seed": -1}, "seed must"),
    ]:
        with pytest.raises(ValueError, match=message):
            MaxSensitivity(**settings)


@pytest.mark.backend
def test_maps_of_several_samples_keep_their_rows(rng):
    inputs = keras.Input((6, 6, 1))
    model = keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(L.Conv2D(4, 3, activation="tanh")(inputs))))
    x = rng.normal(size=(3, 6, 6, 1)).astype("float32")
    attribution = GradCAM(relu=False).explain(model, x)
    together = max_sensitivity(model, attribution, draws=4, batch_size=8).values
    alone = [max_sensitivity(model, attribution[one], draws=4).values[0] for one in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-3)


@pytest.mark.oracle
def test_values_equal_captum_on_the_same_shifts(rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    metrics = pytest.importorskip("captum.metrics", reason="needs the extra keras-arch[oracles]")
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    model = keras.Sequential([keras.Input((6,)), L.Dense(5, activation="tanh"), L.Dense(3)])
    twin = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    for layer, ours in zip((twin[0], twin[2]), model.layers, strict=True):
        kernel, bias = ours.get_weights()
        layer.weight.data, layer.bias.data = torch.tensor(kernel.T.copy()), torch.tensor(bias)
    x = rng.normal(size=(4, 6)).astype("float32")
    moves = shifts(8, 6, 0.1).astype("float32")
    theirs = metrics.sensitivity_max(
        attr.IntegratedGradients(twin).attribute,
        torch.tensor(x),
        perturb_func=lambda inputs: inputs + torch.tensor(np.tile(moves, (4, 1))),
        n_perturb_samples=8,
        target=1,
        n_steps=32,
        method="gausslegendre",
    )
    attribution = IntegratedGradients(steps=32).explain(model, x, target=1)
    values = max_sensitivity(model, attribution, radius=0.1, draws=8).values
    np.testing.assert_allclose(values, theirs.detach().numpy(), rtol=1e-3)
