"""Occlusion against loops over windows, closed forms and Captum."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.perturbation import occlusion

from keras_arch.explain.perturbation.occlusion import Occlusion

pytestmark = pytest.mark.backend
L = keras.layers


def net(shape, seed=1):
    """Smooth, all positions count, every bias nonzero."""
    keras.utils.set_random_seed(seed)
    layers = [L.Flatten(), L.Dense(6, "tanh", bias_initializer="random_normal"), L.Dense(3)]
    return keras.Sequential([keras.Input(shape), *layers])


def score(model, index):
    return lambda x: ops.convert_to_numpy(model(x.astype("float32")))[:, index]


@pytest.mark.parametrize(
    ("shape", "window", "stride", "full"),
    [
        ((6,), 2, 1, ((2,), (1,))),
        ((7,), 3, 3, ((3,), (3,))),
        ((9, 2), 4, 3, ((4, 2), (3, 2))),
        ((7, 6, 2), (3, 2), (2, 1), ((3, 2, 2), (2, 1, 2))),
        ((7, 6, 2), (3, 2, 1), (2, 1, 1), ((3, 2, 1), (2, 1, 1))),
        ((4, 5, 3, 1), 2, 2, ((2, 2, 2, 1), (2, 2, 2, 1))),
        ((6, 6, 1), 3, None, ((3, 3, 1), (1, 1, 1))),
        ((6, 6, 1), 6, 6, ((6, 6, 1), (6, 6, 1))),
    ],
)
def test_values_equal_a_loop_over_windows(shape, window, stride, full, rng):
    model, x = net(shape), rng.normal(size=(3, *shape)).astype("float32")
    got = Occlusion(window, stride, baseline=0.25).explain(model, x, target=1)
    want = occlusion(score(model, 1), x, *full, baseline=0.25)
    np.testing.assert_allclose(got.values, want, atol=1e-6)
    assert got.values.dtype == np.float32
    np.testing.assert_allclose(got.scores, score(model, 1)(x), rtol=1e-5, atol=1e-6)


def test_a_linear_model_gives_weight_times_distance_and_completeness(rng):
    weights = rng.normal(size=(5, 2)).astype("float32")
    model = keras.Sequential([keras.Input((5,)), L.Dense(2)])
    model.layers[0].set_weights([weights, np.ones(2, "float32")])
    x, start = rng.normal(size=(4, 5)).astype("float32"), rng.normal(size=(4, 5)).astype("float32")
    got = Occlusion(window=1, baseline=start).explain(model, x, [0, 1, 0, 1])
    want = (x - start) * weights.T[[0, 1, 0, 1]]
    np.testing.assert_allclose(got.values, want, atol=1e-5)


def test_several_inputs_are_covered_one_at_a_time(rng):
    a, b = keras.Input((5, 2), name="a"), keras.Input((3,), name="b")
    hidden = L.Concatenate()([L.Flatten()(a), b])
    model = keras.Model({"a": a, "b": b}, L.Dense(1)(L.Dense(4, "tanh")(hidden)))
    x = {"a": rng.normal(size=(2, 5, 2)).astype("float32"), "b": rng.normal(size=(2, 3)).astype("float32")}
    got = Occlusion({"a": 2, "b": 1}, {"a": 1, "b": 1}).explain(model, x)
    for name, full in (("a", ((2, 2), (1, 2))), ("b", ((1,), (1,)))):
        want = occlusion(lambda one, name=name: score(model, 0)(One(x, name, one)), x[name], *full)
        np.testing.assert_allclose(got.values[name], want, atol=1e-6)


class One(dict):
    """Inputs of which one is changed."""

    def __init__(self, inputs, name, value):
        super().__init__({**inputs, name: value})

    def astype(self, dtype):
        return {key: part.astype(dtype) for key, part in self.items()}


def test_token_ids_are_replaced_by_an_id(rng):
    model = keras.Sequential([keras.Input((6,), dtype="int32"), L.Embedding(9, 4), L.Flatten(), L.Dense(2)])
    x = rng.integers(1, 9, (3, 6)).astype("int32")
    got = Occlusion(window=1, baseline=0).explain(model, x, target=1)
    scores = lambda ids: ops.convert_to_numpy(model(ids.astype("int32")))[:, 1]  # noqa: E731
    np.testing.assert_allclose(got.values, occlusion(scores, x, (1,), (1,), 0), atol=1e-6)


def test_channels_first_gives_the_same_map(rng):
    last = net((6, 5, 2))
    inputs = keras.Input((2, 6, 5))
    first = keras.Model(inputs, last(L.Permute((2, 3, 1))(inputs)))
    x = rng.normal(size=(2, 6, 5, 2)).astype("float32")
    want = Occlusion((3, 2), 2).explain(last, x, 0).values
    got = Occlusion((3, 2), 2, data_format="channels_first").explain(first, np.moveaxis(x, -1, 1), 0).values
    np.testing.assert_allclose(np.moveaxis(got, 1, -1), want, atol=1e-6)


def test_the_predicted_class_stays_the_target_when_another_one_wins(rng):
    model = keras.Sequential([keras.Input((2,)), L.Dense(2, use_bias=False)])
    model.layers[0].set_weights([np.array([[1.0, 0.0], [0.0, 0.5]], "float32")])
    got = Occlusion(window=1).explain(model, np.array([[1.0, 1.0]], "float32"))
    np.testing.assert_allclose(got.values, [[1.0, 0.0]], atol=1e-6)
    assert got.target.tolist() == [0]


def test_an_answer_does_not_depend_on_batch_mates_or_chunks(rng):
    model, x = net((5, 4, 1)), rng.normal(size=(5, 5, 4, 1)).astype("float32")
    method = Occlusion(2, 1)
    whole = method.explain(model, x, [0, 1, 2, 0, 1]).values
    np.testing.assert_allclose(method.explain(model, x, [0, 1, 2, 0, 1], batch_size=3).values, whole, atol=1e-6)
    np.testing.assert_allclose(method.explain(model, x[2:3], 2).values[0], whole[2], atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "shape", "match"),
    [
        ({"window": 0}, None, "window must be an integer >= 1"),
        ({"window": 2, "stride": 0}, None, "stride must be an integer >= 1"),
        ({"window": 2, "data_format": "NHWC"}, None, "data_format must be one of"),
        ({"window": 7}, (6, 6, 1), r"window must fit into an input of shape \(6, 6, 1\).*received window=7"),
        ({"window": (2, 2, 2)}, (6, 6, 1), "none larger than the axis"),
        ({"window": (2, 2, 1, 1)}, (6, 6, 1), "window must fit into an input"),
        ({"window": 2, "stride": 3}, (6, 6, 1), "stride must be at most the window, or positions are left out"),
        ({"window": 2, "baseline": np.zeros((5, 5, 1))}, (6, 6, 1), "baseline must be a number, or have the shape"),
    ],
)
def test_what_does_not_fit_is_named(settings, shape, match):
    with pytest.raises(ValueError, match=match):
        Occlusion(**settings).explain(net(shape), np.zeros((1, *shape)))


@pytest.mark.oracle
@pytest.mark.parametrize(("window", "stride"), [((3, 2), (1, 1)), ((3, 3), (2, 3)), ((2, 4), (2, 3))])
def test_values_equal_captum_with_the_same_weights(window, stride, rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    model = keras.Sequential([keras.Input((8, 7, 2)), L.Conv2D(4, 3, activation="tanh"), L.Flatten(), L.Dense(3)])
    kernel, bias, dense, shift = (np.array(weight) for weight in model.get_weights())
    twin = torch.nn.Conv2d(2, 4, 3)
    twin.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1))
    twin.bias.data = torch.tensor(bias)

    def forward(images):
        maps = torch.tanh(twin(images)).permute(0, 2, 3, 1).flatten(1)
        return maps @ torch.tensor(dense) + torch.tensor(shift)

    x = rng.normal(size=(3, 8, 7, 2)).astype("float32")
    theirs = attr.Occlusion(forward).attribute(
        torch.tensor(x.transpose(0, 3, 1, 2)), (2, *window), (2, *stride), baselines=0.5, target=1
    )
    want = theirs.detach().numpy().transpose(0, 2, 3, 1)
    got = Occlusion(window, stride, baseline=0.5).explain(model, x, target=1).values
    np.testing.assert_allclose(got, want, atol=1e-6 * np.abs(want).max())
