import keras
import numpy as np
import pytest
from keras import ops
from oracles.sequence_attention import LENGTHS, OPTIONS, ORDERS, LinearBias, case, expected

from keras_arch.ops import sequence_attention as module
from keras_arch.ops.sequence_attention import sequence_attention

pytestmark = pytest.mark.backend

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
IMPLEMENTATIONS = ("dense", "blockwise", "banded")
ELSEWHERE = ("plain", "all")  # JAX compiles each operation on its own: the options one by one are TensorFlow's to test


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def implementations(order):
    return [name for name in IMPLEMENTATIONS if name != "banded" or "window" in ORDERS[order]]


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("options", OPTIONS if ON_TENSORFLOW else ELSEWHERE)
@pytest.mark.parametrize("order", ORDERS if ON_TENSORFLOW else ("full", "causal window"))
def test_every_implementation_equals_the_loop(order, options, lengths):
    arguments, keywords = case(options, LENGTHS[lengths], key_heads=2 if options in ("plain", "all") else 4)
    wanted, _ = expected(arguments, keywords, scale=0.7, **ORDERS[order])
    for implementation in implementations(order):
        got, weights = sequence_attention(
            *arguments, implementation=implementation, scale=0.7, **keywords, **ORDERS[order]
        )
        assert weights is None
        np.testing.assert_allclose(values(got), wanted, atol=2e-6, err_msg=implementation)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_weights_that_are_asked_for_come_with_every_implementation(implementation):
    arguments, keywords = case("all", (5, 5), key_heads=2)
    output, weights = expected(arguments, keywords, window=3)
    got = sequence_attention(
        *arguments, implementation=implementation, scale=1.0, window=3, return_weights=True, **keywords
    )
    np.testing.assert_allclose(values(got[0]), output, atol=2e-6)
    np.testing.assert_allclose(values(got[1]), weights, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("options", ["plain", "all"])
def test_low_precision_is_near_float32(dtype, options):
    arguments, keywords = case(options, (9, 9))
    low = [ops.cast(x, dtype) for x in arguments[:3]]
    exact = [values(x) for x in low]
    wanted, _ = expected((*exact, *arguments[3:]), keywords, window=4)
    for implementation in IMPLEMENTATIONS:
        got, _ = sequence_attention(
            *low, *arguments[3:], implementation=implementation, scale=1.0, window=4, **keywords
        )
        assert keras.backend.standardize_dtype(got.dtype) == dtype
        np.testing.assert_allclose(values(got), wanted, atol=0.04 if dtype == "bfloat16" else 0.005)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="other backends have float64 only where it is switched on")
@pytest.mark.parametrize("known", [True, False])
def test_float64_stays_float64(known):
    import tensorflow as tf

    arguments, keywords = case("sinks", (9, 9))
    wanted, _ = expected(arguments, keywords, causal=True)
    spec = [tf.TensorSpec((2, 9 if known else None, 4, size), "float64") for size in (3, 3, 5)]

    @tf.function(input_signature=spec)
    def attend(*heads):
        return sequence_attention(*heads, implementation="blockwise", scale=1.0, causal=True, **keywords)[0]

    np.testing.assert_allclose(attend(*(tf.cast(x, "float64") for x in arguments[:3])), wanted, atol=1e-9)


@pytest.mark.parametrize("implementation", ["dense", "blockwise"])
def test_no_queries_give_no_output(implementation):
    arguments, _ = case("plain", (4, 4))
    got, _ = sequence_attention(arguments[0][:, :0], *arguments[1:3], implementation=implementation, scale=1.0)
    assert tuple(got.shape) == (2, 0, 4, 5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_explicit_positions_reach_the_bias(implementation):
    arguments, keywords = case("between", (6, 6))
    places = np.array([3, 4, 5, 0, 1, 2])
    got, _ = sequence_attention(
        *arguments,
        implementation=implementation,
        scale=1.0,
        window=6,
        query_positions=places,
        key_positions=places,
        **keywords,
    )
    bias = np.array([[[-0.1 * (n + 1) * abs(p - q) for q in places] for p in places] for n in range(4)])[None]
    wanted, _ = expected((*arguments[:3], (), bias), {}, window=6)
    np.testing.assert_allclose(values(got), wanted, atol=2e-6)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_dropout_keeps_the_mean_and_drops_again_with_the_same_seed(implementation):
    value = np.ones((64, 12, 2, 1), "float32")
    zeros = np.zeros((64, 12, 2, 4), "float32")

    def run(seed):
        dropout = keras.layers.Dropout(0.5, seed=seed)
        return values(
            sequence_attention(
                zeros, zeros, value, implementation=implementation, scale=1.0, window=12, dropout=dropout
            )[0]
        )

    first = run(1)
    assert abs(first.mean() - 1) < 0.03
    assert 0.2 < first.std() < 0.4  # 12 equal weights, each dropped half the time: sqrt(1 / 12)
    np.testing.assert_array_equal(first, run(1))
    assert np.abs(first - run(2)).max() > 0.1


def test_a_band_needs_a_window():
    x = np.ones((1, 3, 2, 4), "float32")
    with pytest.raises(ValueError, match='implementation can be "banded" with a sliding_window only'):
        sequence_attention(x, x, x, implementation="banded", scale=1.0)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="JAX and PyTorch have a fused kernel, which goes first")
@pytest.mark.parametrize(
    ("lengths", "keywords", "name"),
    [
        ((4, 4), {}, "scaled_dot_product_attention"),
        ((8, 8), {}, "blockwise_attention"),
        ((1, 64), {}, "scaled_dot_product_attention"),
        ((8, 8), {"window": 3}, "banded_attention"),
        ((32, 32), {"window": 3}, "blockwise_attention"),
        ((32, 32), {"window": 3, "position_bias": LinearBias()}, "banded_attention"),
        ((8, 8), {"window": 6}, "blockwise_attention"),
    ],
)
def test_auto_takes_what_suits_the_lengths(monkeypatch, lengths, keywords, name):
    from keras_arch.ops.backend.tensorflow import blockwise_attention as tiles

    monkeypatch.setattr(module, "MANY_SCORES", 64)
    called = []

    def watch(owner, function):
        original = getattr(owner, function)
        monkeypatch.setattr(owner, function, lambda *a, **k: called.append(function) or original(*a, **k))

    watch(module, "scaled_dot_product_attention")
    watch(module, "banded_attention")
    watch(tiles, "blockwise_attention")
    arguments, _ = case("plain", lengths)
    sequence_attention(*arguments, scale=1.0, **keywords)
    assert called == [name]


@pytest.mark.skipif(not ON_TENSORFLOW, reason="tiles whose weights can be kept are TensorFlow's")
@pytest.mark.parametrize(("implementation", "may_keep"), [("auto", module.FEW_WEIGHTS), ("blockwise", 0)])
def test_only_auto_lets_weights_wait_for_the_gradient(monkeypatch, implementation, may_keep):
    from keras_arch.ops.backend.tensorflow import blockwise_attention as tiles

    monkeypatch.setattr(module, "MANY_SCORES", 64)
    original, allowed = tiles.blockwise_attention, []

    def watch(*arguments, **keywords):
        allowed.append(keywords["may_keep"])
        return original(*arguments, **keywords)

    monkeypatch.setattr(tiles, "blockwise_attention", watch)
    arguments, _ = case("plain", (8, 8))
    sequence_attention(*arguments, scale=1.0, implementation=implementation)
    assert allowed == [may_keep]
