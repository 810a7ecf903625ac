"""Weights are seen while the model runs, its outputs stay what they are, and its layers are given back."""

import keras
import numpy as np
import pytest
from oracles.attention_rollout import attend

import keras_arch as ka
from keras_arch.core import walk
from keras_arch.explain.attention.weights import Seen, attention_layers, by_call, chosen, shown
from keras_arch.explain.probe import Probe
from keras_arch.explain.scene import Scene

L = keras.layers


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def look(model, x):
    """Outputs, what was seen, and outputs of the same compiled pass when nobody looks."""
    notes = []

    def work(scene: Scene, inputs):
        with shown(scene.model) as seen:
            outputs, _ = scene.forward([], inputs)
        notes[:] = seen
        return outputs, [one.weights for one in seen]

    ((_, (outputs, weights)),) = Probe(model).each(work, None, x)
    ((_, plain),) = Probe(model).each(lambda scene, inputs: scene.forward([], inputs)[0], None, x)
    seen = [Seen(one.path, numpy(tensor), one.is_self) for one, tensor in zip(notes, weights, strict=True)]
    return keras.tree.map_structure(numpy, outputs), seen, keras.tree.map_structure(numpy, plain)


def sequences(rng, shape=(2, 6, 8)):
    return rng.normal(size=shape).astype("float32")


def around(layer, *others, shape=(6, 8)):
    """A model of one layer that attends from its input to itself."""
    inputs = keras.Input(shape)
    inside = layer([inputs, inputs]) if isinstance(layer, L.Attention) else layer(inputs, inputs, *others)
    return keras.Model(inputs, L.Dense(2, bias_initializer="ones")(inside))


ATTENTION = {
    "keras": lambda: L.MultiHeadAttention(2, 4, bias_initializer="random_normal"),
    "keras_dropout": lambda: L.MultiHeadAttention(2, 4, dropout=0.5),
    "keras_gate_and_window": lambda: L.MultiHeadAttention(2, 4, use_gate=True, sliding_window=2),
    "keras_grouped": lambda: L.GroupQueryAttention(4, 4, 2),
    "keras_attention": lambda: L.Attention(use_scale=True),
    "keras_concat": lambda: L.Attention(score_mode="concat"),
    "keras_additive": lambda: L.AdditiveAttention(),
    "ours": lambda: ka.layers.MultiHeadAttention(2, 4, bias_initializer="random_normal"),
    "ours_grouped_rotary": lambda: ka.layers.MultiHeadAttention(
        4, 4, num_kv_heads=2, rotary_embedding=ka.layers.RotaryEmbedding(), qk_norm="rms", logit_soft_cap=3.0
    ),
    "ours_blockwise": lambda: ka.layers.MultiHeadAttention(2, 4, implementation="blockwise"),
    "ours_banded": lambda: ka.layers.MultiHeadAttention(2, 4, implementation="banded", sliding_window=2),
    "ours_gate": lambda: ka.layers.MultiHeadAttention(2, 4, use_gate=True, value_dim=3),
    "linear": lambda: ka.layers.LinearAttention(2, 4),
}


ELSEWHERE = ("keras", "keras_grouped", "keras_attention", "ours", "linear")  # run on other backends too
ALL = [pytest.param(kind, marks=[pytest.mark.backend] if kind in ELSEWHERE else []) for kind in ATTENTION]


def by_hand(layer, x):
    """Weights that the layer itself returns, (N, H, T, S)."""
    if isinstance(layer, L.Attention):
        return numpy(layer([x, x], return_attention_scores=True)[1])[:, None]
    return numpy(layer(x, x, return_attention_scores=True)[1])


@pytest.mark.parametrize("kind", ALL)
def test_weights_are_those_that_the_layer_returns_and_outputs_do_not_change(rng, kind):
    layer, x = ATTENTION[kind](), sequences(rng)
    model = around(layer)
    during, seen, plain = look(model, x)
    assert [one.path for one in seen] == [layer.name]
    assert seen[0].is_self
    weights = seen[0].weights
    weights = weights[:, None] if weights.ndim == 3 else weights
    np.testing.assert_allclose(weights, by_hand(layer, x), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(during, plain, rtol=0, atol=1e-6)
    np.testing.assert_allclose(numpy(model(x)), plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind.values[0] != "linear"])
def test_weights_on_the_way_leave_the_outputs_and_take_the_gradient_of_the_mix(rng, kind):
    """F = Σ c · output is linear in the weights: F(A + D) - F(A) = Σ D ∂F/∂A, where D is put in by hand."""
    layer, x = ATTENTION[kind](), sequences(rng)
    model = around(layer)
    before = numpy(model(x))
    mix = rng.normal(size=before.shape[1:]).astype("float32")
    found = {}

    def work(scene: Scene, inputs):
        from keras_arch.explain import backend

        def run(watch):
            with shown(scene.model, watch) as seen:
                outputs, _ = scene.forward([], inputs)
            return keras.ops.sum(keras.ops.multiply(outputs, mix), axis=(1, 2)), (outputs, seen[0].weights)

        (gradient,), (outputs, weights) = backend.engine().differentiate(run)
        return outputs, weights, gradient

    for _, results in Probe(model).each(work, None, x):
        found["outputs"], found["weights"], found["gradient"] = map(numpy, results)
    np.testing.assert_allclose(found["outputs"], before, rtol=0, atol=1e-5)
    change = rng.normal(size=found["weights"].shape).astype("float32")
    want = []
    for size in (0.0, 1.0):
        with _moved(model, size * change):
            want.append((numpy(model(x)) * mix).sum((1, 2)))
    got = (found["gradient"] * change).reshape(len(x), -1).sum(1)
    np.testing.assert_allclose(got, want[1] - want[0], rtol=1e-3, atol=1e-4)
    assert np.abs(got).min() > 1e-3


def _moved(model, change):
    """The model with `change` added to its weights of attention, by NumPy on what its projections return."""
    import contextlib

    from keras_arch.core.tap import intercept

    (_, layer), *_ = attention_layers(model)

    @contextlib.contextmanager
    def block():
        if isinstance(layer, L.Attention):
            with intercept(
                layer, lambda original, inputs, **kw: keras.ops.add(original(inputs, **kw), change @ numpy(inputs[1]))
            ):
                yield
            return
        value = {}

        def keep(original, *args, **kwargs):
            value["v"] = original(*args, **kwargs)
            return value["v"]

        def add(original, heads, **kwargs):
            v = numpy(value["v"])  # (N, S, M, V)
            v = np.repeat(v, change.shape[1] // v.shape[2], axis=2)
            extra = np.einsum("nhts,nshv->nthv", change, v)
            gate = numpy(value["gate"]) if "gate" in value else 1.0
            return original(keras.ops.convert_to_tensor((numpy(heads) + extra * gate).astype("float32")), **kwargs)

        def gated(original, *args, **kwargs):
            value["gate"] = original(*args, **kwargs)
            return value["gate"]

        parts = {part.name: part for _, part in walk.walk(layer)}
        with contextlib.ExitStack() as stack:
            stack.enter_context(intercept(parts["value"], keep))
            stack.enter_context(intercept(parts["attention_output"], add))
            if "gate" in parts:
                stack.enter_context(intercept(parts["gate"], gated))
            yield

    return block()


@pytest.mark.backend
def test_weights_of_one_head_equal_loops_in_numpy(rng):
    layer, x = L.MultiHeadAttention(1, 4, bias_initializer="random_normal"), sequences(rng)
    _, seen, _ = look(around(layer), x)
    query, key = (x @ numpy(part.kernel)[:, 0] + numpy(part.bias)[0] for part in (layer.query_dense, layer.key_dense))
    np.testing.assert_allclose(seen[0].weights[:, 0], attend(query, key), rtol=1e-4, atol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("make", [L.MultiHeadAttention, ka.layers.MultiHeadAttention])
def test_padding_is_hidden_and_sees_nothing_and_outputs_do_not_change(rng, make):
    ids = np.array([[3, 1, 2, 0, 0], [4, 5, 1, 2, 3]])
    inputs = keras.Input((5,), dtype="int32")
    hidden = L.Embedding(9, 8, mask_zero=True)(inputs)
    model = keras.Model(inputs, make(2, 4, name="look")(hidden, hidden, use_causal_mask=True))
    during, seen, plain = look(model, ids)
    np.testing.assert_allclose(during, plain, rtol=0, atol=1e-6)
    weights = seen[0].weights
    visible = (ids != 0)[:, None, :, None] & (ids != 0)[:, None, None, :] & np.tri(5, dtype=bool)
    assert (weights[np.broadcast_to(~visible, weights.shape)] == 0).all()
    np.testing.assert_allclose(weights.sum(-1), np.broadcast_to((ids != 0)[:, None], (2, 2, 5)), rtol=1e-5)


@pytest.mark.backend
def test_a_model_that_returns_scores_itself_goes_on_to_do_so(rng):
    inputs = keras.Input((6, 8))
    output, scores = L.MultiHeadAttention(2, 4, name="dot")(inputs, inputs, return_attention_scores=True)
    layer = ka.layers.LinearAttention(2, 4, name="linear")
    linear, linear_scores = layer(inputs, inputs, return_attention_scores=True)
    model, x = keras.Model(inputs, [output, scores, linear, linear_scores]), sequences(rng)
    during, seen, plain = look(model, x)
    for was, now in zip(plain, during, strict=True):
        np.testing.assert_allclose(was, now, rtol=0, atol=1e-6)
    found = {one.path: one.weights for one in seen}
    np.testing.assert_array_equal(found["dot"], during[1])
    np.testing.assert_array_equal(found["linear"], during[3])


class Decoding(keras.Model):
    """A step of cached decoding inside the model."""

    def __init__(self):
        super().__init__()
        self.look = ka.layers.MultiHeadAttention(2, 4, name="look")

    def call(self, x):
        output, cache = self.look(x, x, cache=self.look.make_cache(x.shape[0]))
        return output + keras.ops.sum(cache.key)


@pytest.mark.backend
def test_a_cache_passes_through(rng):
    model, x = Decoding(), sequences(rng)
    model(x)
    during, seen, plain = look(model, x)
    np.testing.assert_allclose(during, plain, rtol=0, atol=1e-5)
    assert [one.weights.shape for one in seen] == [(2, 2, 6, 6)]


@pytest.mark.backend
def test_layers_inside_blocks_poolings_and_nested_models_are_found_by_path():
    inputs = keras.Input((6, 8))
    block = ka.layers.TransformerEncoderBlock(2, 16, name="block")
    memory = keras.Sequential([keras.Input((6, 8)), block], name="tower")(inputs)
    decoded = ka.layers.TransformerDecoderBlock(2, 16, name="decoder")(inputs, memory)
    pooled = ka.layers.AttentionPooling(2, name="pool")(decoded)
    model = keras.Model(inputs, L.Dense(2)(pooled))
    want = ["tower/block/attention", "decoder/attention", "decoder/cross_attention", "pool/attention"]
    assert [path for path, _ in attention_layers(model)] == want
    _, seen, _ = look(model, np.ones((1, 6, 8), "float32"))
    assert [(one.path, one.is_self) for one in seen] == list(zip(want, [True, True, False, False], strict=True))


def test_layers_are_given_back_when_the_model_fails(rng):
    class Failing(L.Layer):
        broken = False

        def call(self, x):
            if self.broken:
                raise RuntimeError("broken")
            return x

    inputs, layer, failing = keras.Input((6, 8)), L.MultiHeadAttention(2, 4), Failing()
    model = keras.Model(inputs, failing(layer(inputs, inputs)))
    failing.broken = True
    with pytest.raises(RuntimeError, match="broken"):
        look(model, sequences(rng))
    for _, part in walk.walk(model):
        assert not {"call", "_compute_attention", "_apply_scores"} & set(vars(part))


def test_a_model_without_attention_is_refused():
    with pytest.raises(ValueError, match="model must have an attention layer, whose call takes return_attention"):
        attention_layers(keras.Sequential([keras.Input((2,)), L.Dense(1)]))


class OwnWay(L.MultiHeadAttention):
    """Attention that shows no weights."""

    def _compute_attention(self, query, key, value, *args, **kwargs):
        return value, None


class OwnCall(L.MultiHeadAttention):
    """Attention that leaves Keras's."""

    def call(self, query, value, key=None, **kwargs):
        return query


class Liar(L.Layer):
    """It takes the argument and does nothing with it."""

    def call(self, x, return_attention_scores=False):
        return x


def test_a_layer_that_cannot_show_its_weights_is_named(rng):
    x = sequences(rng)
    for layer, reason in (
        (OwnWay(2, 4, name="own"), "'own' returns no weights from its _compute_attention"),
        (OwnCall(2, 4, name="own"), "'own' computes attention in a way of its own"),
    ):
        model = around(layer)
        with pytest.raises(ValueError, match=f"its layer {reason}"):
            look(model, x)
    model = keras.Sequential([keras.Input((6, 8)), Liar(name="liar")])
    with pytest.raises(ValueError, match="its layer 'liar' returns no weights for"):
        look(model, x)
    model = around(ka.layers.LinearAttention(2, 4, name="linear"))
    with pytest.raises(ValueError, match="'linear' shows its weights, but not where"), shown(model, lambda w: w):
        model(x)


class Overridden(ka.layers.MultiHeadAttention):
    """Attention with Keras's documented hook, which calls the original."""

    def _compute_attention(self, *args, **kwargs):
        return super()._compute_attention(*args, **kwargs)


@pytest.mark.backend
def test_an_overridden_hook_that_calls_the_original_counts_once(rng):
    model, x = around(Overridden(2, 4)), sequences(rng)
    during, seen, plain = look(model, x)
    np.testing.assert_allclose(during, plain, rtol=0, atol=1e-6)
    assert len(seen) == 1
    np.testing.assert_allclose(seen[0].weights.sum(-1), 1, rtol=1e-5)


def test_a_layer_inside_a_loop_is_refused(rng):
    class Cell(L.Layer):
        state_size = 4
        output_size = 4

        def __init__(self):
            super().__init__()
            self.look = L.Attention(name="look")

        def build(self, shape):
            self.look.build([(None, 2, 4), (None, 2, 4)])

        def call(self, x, states):
            x = keras.ops.stack([x, states[0]], axis=1)
            y = self.look([x, x])[:, 0]
            return y, [y]

    model = keras.Sequential([keras.Input((5, 4)), L.RNN(Cell())])
    with pytest.raises(ValueError, match="'.*look' runs inside a loop of another layer"):
        look(model, sequences(rng, (2, 5, 4)))


def test_calls_are_named_and_chosen_by_layer_call_or_what_is_around():
    seen = by_call([Seen("tower/a", 1, True), Seen("b", 2, True), Seen("tower/a", 3, True)])
    assert list(seen) == ["tower/a:0", "b", "tower/a:1"]
    assert [one.weights for one in seen.values()] == [1, 2, 3]
    assert list(chosen(seen, None)) == list(seen)
    assert list(chosen(seen, ("tower",))) == ["tower/a:0", "tower/a:1"]
    assert list(chosen(seen, ("b", "tower/a:1"))) == ["b", "tower/a:1"]
    with pytest.raises(ValueError, match="layers must name attention layers that run; received 'head'. Those .* b, "):
        chosen(seen, ("head",))
    with pytest.raises(ValueError, match="model must run an attention layer"):
        chosen({}, None)
