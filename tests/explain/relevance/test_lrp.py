"""Relevance against closed forms, loops in NumPy, Captum and zennit; and what it refuses."""

import keras
import numpy as np
import pytest
from oracles.relevance import attention_relevance, dense_relevance

from keras_arch.core import walk
from keras_arch.explain.relevance.composite import PRESETS, Composite
from keras_arch.explain.relevance.lrp import LRP
from keras_arch.explain.relevance.rules import AlphaBetaRule, EpsilonRule, FlatRule, GammaRule, WSquareRule, ZBoxRule

L = keras.layers


def numpy(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def shaken(model: keras.Model, biased: bool = True) -> keras.Model:
    """The model with biases, and with statistics and scales of both signs in its norms."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        name = weight.path.rpartition("/")[2]
        if name in ("bias", "beta", "moving_mean"):
            weight.assign(rng.normal(size=weight.shape) * (0.2 if biased else 0.0))
        elif name == "moving_variance":
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif name == "gamma":
            weight.assign(rng.normal(0.7, 0.7, weight.shape))
    return model


def totals(attribution) -> np.ndarray:
    leaves = keras.tree.flatten(attribution.values)
    return sum(leaf.reshape(len(leaf), -1).sum(1) for leaf in leaves)


def assert_conserves(attribution, tolerance=1e-5):
    scale = max(np.abs(leaf).reshape(len(leaf), -1).sum(1).max() for leaf in keras.tree.flatten(attribution.values))
    np.testing.assert_allclose(totals(attribution), attribution.scores, atol=tolerance * scale)
    np.testing.assert_allclose(attribution.convergence_delta, totals(attribution) - attribution.scores, atol=1e-5)


@pytest.mark.backend
def test_a_linear_net_gives_weight_times_input(rng):
    model = shaken(keras.Sequential([keras.Input((4,)), L.Dense(3)]))
    kernel, bias = model.get_weights()
    x = rng.normal(size=(2, 4)).astype("float32")
    got = LRP(epsilon=0).explain(model, x, 2)
    np.testing.assert_allclose(got.values, x * kernel[:, 2], rtol=1e-5)
    np.testing.assert_allclose(got.convergence_delta, -bias[[2, 2]], rtol=1e-4, atol=1e-6)


RULES = [
    (EpsilonRule(0.1), "epsilon", {"epsilon": 0.1}),
    (GammaRule(0.4), "gamma", {"gamma": 0.4}),
    (AlphaBetaRule(2, 1), "alpha_beta", {"alpha": 2, "beta": 1}),
    (AlphaBetaRule(1, 0), "alpha_beta", {"alpha": 1, "beta": 0}),
]
INPUT_RULES = [
    (FlatRule(), "flat", {}),
    (WSquareRule(), "w_square", {}),
    (ZBoxRule(-3.0, 4.0), "z_box", {"low": -3.0, "high": 4.0}),
]


@pytest.mark.backend
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize(("rule", "name", "options"), RULES + INPUT_RULES)
def test_two_dense_layers_equal_loops_in_numpy(rng, rule, name, options, activation):
    model = shaken(keras.Sequential([keras.Input((6,)), L.Dense(12, activation=activation), L.Dense(3)]))
    kernel, bias, head, head_bias = model.get_weights()
    x = rng.normal(size=(4, 6)).astype("float32")
    composite = Composite(input=rule, dense=EpsilonRule(0.05)) if rule.needs_input else rule
    got = LRP(composite).explain(model, x, [0, 1, 2, 2])
    hidden = numpy(model.layers[0](x))
    upper = ("epsilon", {"epsilon": 0.05}) if rule.needs_input else (name, options)
    for n, k in enumerate([0, 1, 2, 2]):
        start = np.zeros(3)
        start[k] = got.scores[n]
        middle = dense_relevance(hidden[n], head, head_bias, start, upper[0], **upper[1])
        want = dense_relevance(x[n], kernel, bias, middle, name, **options)
        np.testing.assert_allclose(got.values[n], want, rtol=2e-4, atol=2e-5 * np.abs(want).max())


def keras_net(pooling, norm):
    inputs = keras.Input((13, 13, 3))
    y = L.Conv2D(8, 3, strides=2, padding="valid", use_bias=not norm)(inputs)
    y = L.BatchNormalization(epsilon=1e-7)(y) if norm else y
    y = pooling(2)(L.ReLU()(y))
    y = L.Conv2D(9, 2)(y)
    y = L.BatchNormalization(epsilon=1e-7)(y) if norm else y
    y = L.Flatten()(L.Permute((3, 1, 2))(L.ReLU()(y)))
    y = L.Activation("tanh")(L.Dense(7)(y))
    return shaken(keras.Model(inputs, L.Dense(4)(y)))


def torch_net(model, pooling, norm):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    nn = torch.nn
    weights = iter(model.get_weights())

    def tensor(array):
        return torch.tensor(np.ascontiguousarray(array))

    def conv(inner, outer, size, stride=1):
        layer = nn.Conv2d(inner, outer, size, stride)
        layer.weight.data = tensor(next(weights).transpose(3, 2, 0, 1))
        layer.bias.data = torch.zeros(outer) if norm and stride == 2 else tensor(next(weights))
        return layer

    def batch_norm(size):
        layer = nn.BatchNorm2d(size, eps=1e-7)  # zennit would count a larger one twice
        layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var = (
            tensor(next(weights)) for _ in range(4)
        )
        return layer

    def linear(inner, outer):
        layer = nn.Linear(inner, outer)
        layer.weight.data, layer.bias.data = tensor(next(weights).T), tensor(next(weights))
        return layer

    norms = (batch_norm,) if norm else ()
    body = [conv(3, 8, 3, 2), *(make(8) for make in norms), nn.ReLU()]
    body += [nn.MaxPool2d(2) if pooling is L.MaxPooling2D else nn.AvgPool2d(2)]
    body += [conv(8, 9, 2), *(make(9) for make in norms), nn.ReLU(), nn.Flatten()]
    body += [linear(36, 7), nn.Tanh(), linear(7, 4)]
    return nn.Sequential(*body).eval()


def assert_agree(got, want, tolerance=1e-6):
    """Relative to the largest value of the sample, up to float32's own rounding in the two libraries."""
    assert np.count_nonzero(want) > want.size / 2
    scale = np.abs(want).reshape(len(want), -1).max(1).reshape(-1, *[1] * (want.ndim - 1))
    np.testing.assert_allclose(got / scale, want / scale, atol=tolerance)


@pytest.mark.oracle
@pytest.mark.parametrize("pooling", [L.MaxPooling2D, L.AveragePooling2D])
@pytest.mark.parametrize(
    ("rule", "theirs"),
    [
        (EpsilonRule(1e-9), ("EpsilonRule", {})),
        (EpsilonRule(0.1), ("EpsilonRule", {"epsilon": 0.1})),
        (GammaRule(0.25, bias="whole"), ("GammaRule", {})),
        (AlphaBetaRule(1, 0, bias="none"), ("Alpha1_Beta0_Rule", {"set_bias_to_zero": True})),
        (AlphaBetaRule(1, 0, bias="whole"), ("Alpha1_Beta0_Rule", {})),
    ],
)
def test_rules_equal_captum(rng, rule, theirs, pooling):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    rules = pytest.importorskip("captum.attr._utils.lrp_rules", reason="needs the extra keras-arch[oracles]")
    model = keras_net(pooling, norm=False)
    net = torch_net(model, pooling, norm=False)
    # Captum knows the gamma and z⁺ rules for inputs >= 0 only: they are for convolutions behind them, ours and theirs.
    x = rng.uniform(0.1, 1, size=(5, 13, 13, 3)).astype("float32")
    is_epsilon = isinstance(rule, EpsilonRule)
    for layer in net:
        if isinstance(layer, torch.nn.Flatten):
            layer.rule = rules.EpsilonRule()  # Captum has no rule for it; this one passes relevance on
        if isinstance(layer, torch.nn.Conv2d) or (is_epsilon and isinstance(layer, torch.nn.Linear)):
            layer.rule = getattr(rules, theirs[0])(**theirs[1])
    classes = numpy(model(x)).argmax(1)
    pixels = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    want = attr.LRP(net).attribute(pixels, target=torch.tensor(classes))
    ours = rule if is_epsilon else Composite(convolution=rule, dense=EpsilonRule(1e-9))
    got = LRP(ours).explain(model, x, classes)
    assert_agree(got.values.transpose(0, 3, 1, 2), want.detach().numpy())


@pytest.mark.oracle
def test_batch_normalization_equals_captum_by_the_epsilon_rule(rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    model = keras_net(L.MaxPooling2D, norm=True)
    x = rng.normal(size=(5, 13, 13, 3)).astype("float32")
    net = torch_net(model, L.MaxPooling2D, norm=True)
    np.testing.assert_allclose(net(torch.tensor(x.transpose(0, 3, 1, 2))).detach().numpy(), numpy(model(x)), atol=1e-5)
    rules = pytest.importorskip("captum.attr._utils.lrp_rules", reason="needs the extra keras-arch[oracles]")
    next(layer for layer in net if isinstance(layer, torch.nn.Flatten)).rule = rules.EpsilonRule()
    want = attr.LRP(net).attribute(torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True), target=2)
    got = LRP(EpsilonRule(1e-9)).explain(model, x, 2)
    assert_agree(got.values.transpose(0, 3, 1, 2), want.detach().numpy(), 1e-5)


@pytest.mark.oracle
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [
        ("epsilon_plus", "EpsilonPlus", {}),
        ("epsilon_plus_flat", "EpsilonPlusFlat", {}),
        ("epsilon_alpha2_beta1", "EpsilonAlpha2Beta1", {}),
        ("epsilon_alpha2_beta1_flat", "EpsilonAlpha2Beta1Flat", {}),
        ("epsilon_gamma_box", "EpsilonGammaBox", {"low": -4.0, "high": 4.0}),
    ],
)
def test_composites_equal_zennit_with_merged_batch_normalization(rng, name, theirs, options, norm):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    composites = pytest.importorskip("zennit.composites", reason="needs zennit, and torchvision")
    attribution = pytest.importorskip("zennit.attribution", reason="needs zennit, and torchvision")
    canonizers = pytest.importorskip("zennit.canonizers", reason="needs zennit, and torchvision")
    model = keras_net(L.MaxPooling2D, norm)
    net = torch_net(model, L.MaxPooling2D, norm)
    x = rng.normal(size=(5, 13, 13, 3)).astype("float32")
    composite = getattr(composites, theirs)(
        stabilizer=1e-9, canonizers=[canonizers.SequentialMergeBatchNorm()], **options
    )
    with attribution.Gradient(model=net, composite=composite) as attributor:
        one_hot = torch.eye(4)[[1] * 5]
        _, want = attributor(torch.tensor(x.transpose(0, 3, 1, 2)), lambda output: output * one_hot)
    got = LRP(name, **options).explain(model, x, 1)
    assert_agree(got.values.transpose(0, 3, 1, 2), want.detach().numpy(), 1e-5)


def residual(biased=False):
    inputs = keras.Input((8, 8, 3))
    y = L.Conv2D(4, 3, padding="same", activation="relu", use_bias=biased)(inputs)
    z = L.BatchNormalization()(L.Conv2D(4, 3, padding="same", use_bias=biased)(y))
    y = L.ReLU()(L.Add()([y, z]))
    y = L.Concatenate()([y, L.Activation("swish")(L.DepthwiseConv2D(3, padding="same", use_bias=biased)(y))])
    y = L.UpSampling2D(2)(L.AveragePooling2D(2)(y))
    y = L.SeparableConv2D(4, 3, activation="gelu", use_bias=biased)(y)
    y = L.Conv2DTranspose(3, 2, strides=2, activation="elu", use_bias=biased)(y)
    y = L.Dense(6, activation="tanh", use_bias=biased)(L.GlobalAveragePooling2D()(y))
    return shaken(keras.Model(inputs, L.Dense(4, use_bias=biased)(y)), biased)


@pytest.mark.backend
@pytest.mark.parametrize("rule", ["epsilon", "epsilon_gamma"])
def test_without_biases_relevance_is_conserved(rng, rule):
    x = rng.normal(size=(3, 8, 8, 3)).astype("float32")
    assert_conserves(LRP(rule, epsilon=0).explain(residual(), x, 1), tolerance=1e-5)


def test_bias_none_conserves_with_biases(rng):
    x = rng.normal(size=(3, 30)).astype("float32")
    model = shaken(keras.Sequential([keras.Input((30,)), L.Dense(30, activation="tanh"), L.Dense(4)]))
    for rule in (EpsilonRule(0.0, bias="none"), GammaRule(0.3, bias="none"), AlphaBetaRule(2, 1, bias="none")):
        assert_conserves(LRP(rule).explain(model, x, 1), tolerance=1e-4)
    whole = LRP(EpsilonRule(0.0)).explain(model, x, 1)
    assert np.abs(whole.convergence_delta).max() > 1e-2


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs_and_says_what_is_absorbed(rng, name):
    model, x = residual(biased=True), rng.uniform(size=(3, 8, 8, 3)).astype("float32")
    bounds = {"low": 0.0, "high": (1.0, 1.0, 1.0)} if name == "epsilon_gamma_box" else {}
    got = LRP(name, **bounds).explain(model, x)
    assert got.values.shape == x.shape
    assert got.values.dtype == np.float32
    assert np.abs(got.values).max() > 1e-4
    np.testing.assert_allclose(got.convergence_delta, totals(got) - got.scores, atol=1e-5)


def mha_weights(layer):
    names = {
        "query": layer.query_dense,
        "key": layer.key_dense,
        "value": layer.value_dense,
        "output": layer.output_dense,
    }
    found = {name: numpy(part.kernel) for name, part in names.items()}
    return found | {f"{name}_bias": numpy(part.bias) for name, part in names.items()}


@pytest.mark.backend
@pytest.mark.parametrize("ours", [False, True])
def test_attention_with_constant_weights_equals_numpy(rng, ours):
    from keras_arch.layers import MultiHeadAttention

    attention = MultiHeadAttention(2, 3) if ours else L.MultiHeadAttention(2, 3)
    inputs = keras.Input((5, 4))
    model = shaken(keras.Model(inputs, L.Flatten()(attention(inputs, inputs))))
    x = rng.normal(size=(2, 5, 4)).astype("float32")
    got = LRP(epsilon=0).explain(model, x, 7)
    start = np.zeros((5, 4))
    start[1, 3] = 1.0
    for n in range(2):
        want, output = attention_relevance(x[n].astype("float64"), mha_weights(attention), start)
        np.testing.assert_allclose(got.scores[n], output[1, 3], rtol=1e-4)
        np.testing.assert_allclose(got.values[n], want, atol=1e-5 * np.abs(want).max())


def encoder(biased=False, feed_forward="mlp", normalization="layer"):
    from keras_arch.layers import TransformerEncoderBlock

    inputs = keras.Input((6, 8))
    y = inputs
    for _ in range(2):
        y = TransformerEncoderBlock(
            num_heads=2, intermediate_dim=16, activation="gelu", feed_forward=feed_forward, use_bias=biased
        )(y)
    return shaken(keras.Model(inputs, L.Dense(3, use_bias=biased)(L.GlobalAveragePooling1D()(y))), biased)


@pytest.mark.parametrize("feed_forward", ["mlp", "swiglu"])
def test_a_transformer_without_biases_conserves(rng, feed_forward):
    x = rng.normal(size=(2, 6, 8)).astype("float32")
    got = LRP().explain(encoder(feed_forward=feed_forward), x, 2)
    assert_conserves(got, 1e-4)


def test_attnlrp_of_one_attention_equals_its_gradients(rng):
    inputs = keras.Input((5, 4))
    attention = L.MultiHeadAttention(2, 3, use_bias=False)
    model = keras.Model(inputs, L.Flatten()(attention(inputs, inputs)))
    x = rng.normal(size=(2, 5, 4)).astype("float32")
    got = LRP(epsilon=0, attention="attnlrp").explain(model, x, 7)
    tf = pytest.importorskip("tensorflow")
    weights = mha_free(attention)
    with tf.GradientTape(persistent=True) as tape:
        tokens = tf.constant(x)
        parts = [tf.einsum("ntd,dhk->nthk", tokens, weights[name]) for name in ("query", "key", "value")]
        tape.watch(parts)
        probabilities = tf.nn.softmax(tf.einsum("nthk,nshk->nhts", parts[0], parts[1]) / 3**0.5)
        output = tf.einsum("nhts,nshk,hkd->ntd", probabilities, parts[2], weights["output"])
        score = output[:, 1, 3]
    want = 0
    for factor, part, name in zip((0.25, 0.25, 0.5), parts, ("query", "key", "value"), strict=True):
        want += factor * x * np.einsum("nthk,dhk->ntd", tape.gradient(score, part).numpy(), weights[name])
    np.testing.assert_allclose(got.values, want, atol=1e-5 * np.abs(want).max())


def mha_free(layer):
    names = {
        "query": layer.query_dense,
        "key": layer.key_dense,
        "value": layer.value_dense,
        "output": layer.output_dense,
    }
    return {name: numpy(part.kernel) for name, part in names.items()}


@pytest.mark.backend
def test_logits_and_probabilities_give_one_map_up_to_a_factor(rng):
    model = shaken(
        keras.Sequential([keras.Input((6,)), L.Dense(9, activation="relu"), L.Dense(4, activation="softmax")])
    )
    x = rng.normal(size=(3, 6)).astype("float32")
    logits = LRP(epsilon=0).explain(model, x, 2, output="logits")
    for output in ("model", "probabilities"):
        likely = LRP(epsilon=0).explain(model, x, 2, output=output)
        np.testing.assert_allclose(likely.scores, numpy(model(x))[:, 2], rtol=1e-5)
        factor = (likely.scores / logits.scores)[:, None]
        np.testing.assert_allclose(likely.values, logits.values * factor, rtol=1e-3, atol=1e-6)
    with pytest.raises(ValueError, match="output must be 'model'"):
        LRP().explain(keras.Sequential([keras.Input((6,)), L.Dense(4), L.ELU()]), x, output="logits")


@pytest.mark.backend
def test_shared_layers_and_nested_models(rng):
    shared = L.Dense(4, activation="tanh", use_bias=False)
    body = keras.Sequential([keras.Input((4,)), shared, L.LeakyReLU(), shared], name="body")
    one, two = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([one, two], L.Dense(2, use_bias=False)(L.Subtract()([body(one), body(two)])))
    x = [rng.normal(size=(3, 4)).astype("float32") for _ in range(2)]
    got = LRP(epsilon=0).explain(model, x, 1)
    assert_conserves(got)
    assert [leaf.shape for leaf in got.values] == [(3, 4), (3, 4)]
    assert all(np.abs(leaf).max() > 1e-3 for leaf in got.values)


def test_an_answer_does_not_depend_on_batch_mates_or_chunks(rng):
    model, x = residual(biased=True), rng.normal(size=(7, 8, 8, 3)).astype("float32")
    for rule in ("epsilon", "epsilon_plus_flat"):
        whole = LRP(rule).explain(model, x, 1)
        chunked = LRP(rule).explain(model, x, 1, batch_size=3)
        alone = LRP(rule).explain(model, x[4:5], 1)
        scale = np.abs(whole.values).max()
        np.testing.assert_allclose(chunked.values, whole.values, atol=1e-5 * scale)
        np.testing.assert_allclose(alone.values[0], whole.values[4], atol=1e-5 * scale)


@pytest.mark.parametrize("rule", ["epsilon", "epsilon_gamma", "epsilon_plus_flat"])
def test_mixed_precision_gives_float32(rng, rule):
    def net(dtype):
        keras.utils.set_random_seed(0)
        body = [
            L.Conv2D(4, 3, activation="relu", dtype=dtype),
            L.BatchNormalization(dtype=dtype),
            L.Flatten(dtype=dtype),
        ]
        head = [L.Dense(5, activation="tanh", dtype=dtype), L.Dense(2, dtype=dtype)]
        return shaken(keras.Sequential([keras.Input((6, 6, 1)), *body, *head]))

    x = rng.normal(size=(2, 6, 6, 1))
    got, want = (LRP(rule).explain(net(dtype), x, 1) for dtype in ("mixed_float16", "float32"))
    assert got.values.dtype == got.scores.dtype == np.float32
    np.testing.assert_allclose(got.values, want.values, atol=2e-2 * np.abs(want.values).max())


def test_input_rules_see_through_padding_and_rescaling(rng):
    inputs = keras.Input((6, 6, 2))
    y = L.ZeroPadding2D(1)(L.Rescaling(2.0, -1.0)(inputs))
    conv = L.Conv2D(3, 3, use_bias=False)
    model = keras.Model(inputs, L.Dense(2, use_bias=False)(L.Flatten()(conv(y))))
    x = rng.uniform(size=(3, 6, 6, 2)).astype("float32")
    x[0, 0, 0] = 0.0
    for rule in (FlatRule(), WSquareRule()):
        got = LRP(Composite(input=rule)).explain(model, x, 1)
        assert_conserves(got)
        assert np.abs(got.values[0, 0, 0]).min() > 0
    plain = keras.Model(conv.input, model.output)
    boxed = LRP("epsilon_gamma_box", low=0.0, high=1.0).explain(model, x, 1).values
    with_pads = LRP("epsilon_gamma_box", low=-1.0, high=1.0).explain(
        plain, np.pad(2 * x - 1, [(0, 0), (1, 1), (1, 1), (0, 0)]), 1
    )
    # Padded zeros are no pixels here; in the other model they are, with bounds of their own.
    assert np.corrcoef(boxed.ravel(), with_pads.values[:, 1:-1, 1:-1].ravel())[0, 1] > 0.9


def test_an_input_rule_without_a_layer_to_use_it_is_refused(rng):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, L.Dense(2)(L.BatchNormalization()(inputs)))
    with pytest.raises(ValueError, match="input must be a rule for a model whose input goes"):
        LRP("epsilon_plus_flat").explain(model, rng.normal(size=(2, 4)), 1)


@pytest.mark.parametrize("kind", [L.LSTM, L.GRU, L.SimpleRNN])
def test_recurrent_layers_conserve_and_book_their_biases(rng, kind):
    x = rng.normal(size=(3, 5, 4)).astype("float32")
    inputs = keras.Input((5, 4))
    head = L.Dense(2, use_bias=False)
    model = keras.Model(inputs, head(L.Bidirectional(kind(3, use_bias=False))(inputs)))
    assert_conserves(LRP().explain(model, x, 1), 1e-5)
    biased = shaken(keras.Model(inputs, head(kind(6)(inputs))))
    assert np.abs(LRP().explain(biased, x, 1).convergence_delta).max() > 1e-3


class Squared(keras.Model):
    """A model with an operation in its call that no layer has."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = L.Dense(4), L.Dense(2)

    def call(self, inputs):
        return self.head(keras.ops.tanh(3 * self.inner(inputs)))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends have no graph to name it")
def test_an_operation_without_a_rule_is_named(rng):
    model, x = Squared(), rng.normal(size=(3, 4)).astype("float32")
    with pytest.raises(ValueError, match=r"these have none: .*\(Tanh\)"):
        LRP().explain(model, x, 1)
    assert not [path for path, layer in walk.walk(model) if {"call", "activation"} & set(vars(layer)) - {"activation"}]
    numpy(model(x))


class Shifted(keras.Model):
    """Constants that are added outside of layers absorb relevance, as biases do."""

    def __init__(self):
        super().__init__()
        self.head = L.Dense(2, use_bias=False)

    def call(self, inputs):
        return self.head(inputs / 2.0 - 1.0)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends warn: there is no graph to ask")
def test_constants_outside_of_layers_absorb(rng):
    model, x = Shifted(), rng.normal(size=(3, 4)).astype("float32")
    got = LRP().explain(model, x, 1)
    np.testing.assert_allclose(got.values, x / 2 * numpy(model.head.kernel)[:, 1], rtol=1e-4, atol=1e-6)


def test_bare_operations_of_functional_models(rng):
    inputs = keras.Input((4,))
    y = keras.ops.tanh(L.Dense(5, use_bias=False)((inputs - 1.0) * 2.0))
    y = y * keras.ops.silu(L.Dense(5, use_bias=False)(inputs))
    model = keras.Model(inputs, L.Dense(2, use_bias=False)(y))
    got = LRP().explain(model, rng.normal(size=(3, 4)), 1)
    # Only the constant 1 absorbs: without it all is conserved.
    inputs = keras.Input((4,))
    y = keras.ops.tanh(L.Dense(5, use_bias=False)(inputs * 2.0))
    y = y * keras.ops.silu(L.Dense(5, use_bias=False)(inputs))
    without = keras.Model(inputs, L.Dense(2, use_bias=False)(y))
    assert_conserves(LRP().explain(without, rng.normal(size=(3, 4)), 1))
    assert np.abs(got.convergence_delta).max() > 1e-3


def test_layers_are_as_before_also_after_an_error(rng):
    model = residual(biased=True)
    x = rng.normal(size=(3, 8, 8, 3)).astype("float32")
    before = {path: {name: id(value) for name, value in vars(layer).items()} for path, layer in walk.walk(model)}
    outputs = numpy(model(x))

    def broken(outputs):
        raise RuntimeError("broken target")

    with pytest.raises(RuntimeError, match="broken target"):
        LRP().explain(model, x, broken)
    LRP().explain(model, x)
    after = {path: {name: id(value) for name, value in vars(layer).items()} for path, layer in walk.walk(model)}
    assert after == before
    np.testing.assert_array_equal(numpy(model(x)), outputs)


@pytest.mark.backend
def test_a_method_is_a_value_that_is_stored(rng):
    method = LRP(Composite(paths={"block1_*": GammaRule(0.1)}, input=ZBoxRule(np.zeros(3), 1.0)), attention="attnlrp")
    assert (
        LRP.from_config(keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(method)).get_config())
        == method
    )
    assert method != LRP()
    assert repr(LRP("gamma")) == "LRP(rule='gamma')"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "deep"}, "rule must be one of"),
        ({"rule": 3}, "rule must be a name, a rule or a Composite"),
        ({"epsilon": -1.0}, "epsilon must be a number in"),
        ({"rule": "alpha_beta", "alpha": 2, "beta": 0.5}, "beta must be alpha - 1"),
        ({"rule": "epsilon_gamma_box"}, "low must be a bound"),
        ({"rule": FlatRule()}, "must not be a rule that looks at the model's input"),
        ({"attention": "off"}, "attention must be one of"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LRP(**arguments)


@pytest.mark.parametrize(
    ("rule", "setting"),
    [
        ("epsilon", {"gamma": 0.5}),
        ("gamma", {"epsilon": 0.1}),
        ("epsilon_plus", {"high": 1.0}),
        ("alpha_beta", {"gamma": 0.5}),
        (GammaRule(), {"gamma": 0.5}),
        (Composite(), {"epsilon": 0.1}),
    ],
)
def test_a_setting_that_the_rule_does_not_read_is_refused(rule, setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"{name} must be left out, because the rule .* does not read it"):
        LRP(rule, **setting)
