"""Keras's own tests of its attention layer with ours in its place, and grouped heads against Keras's layer of them."""

import importlib.util
import inspect
import pathlib
import types

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import MultiHeadAttention

BACKEND = keras.backend.backend()

pytestmark = [
    *([pytest.mark.slow] if keras.backend.backend() == "jax" else []),  # it compiles each operation on its own
    pytest.mark.backend,
    # Keras's own cases warn.
    pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]

# Keras's cases that ours fails because it does something else on purpose; what it does is tested below.
DELIBERATE = {
    "test_masking_causal": "the last query stands beside the last key, also where lengths differ",
    "test_flash_attention_with_errors": "scores can be had with flash attention too",
}


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def keras_cases(layer_class):
    """The test class that the installed Keras ships beside its layer, testing `layer_class` instead."""
    source = pathlib.Path(inspect.getfile(keras.layers.MultiHeadAttention))
    path = source.with_name(f"{source.stem}_test.py")
    if not path.exists():
        pytest.skip("this Keras ships no tests", allow_module_level=True)
    spec = importlib.util.spec_from_file_location("keras_attention_cases", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.layers = types.SimpleNamespace(**{**vars(keras.layers), "MultiHeadAttention": layer_class})
    return module.MultiHeadAttentionTest


def without(cases, names):
    return type(cases.__name__, (cases,), dict.fromkeys(names))


SLOW = [name for name in dir(keras_cases(MultiHeadAttention)) if "high_dim" in name] if BACKEND == "jax" else []

TestKerasCases = without(keras_cases(MultiHeadAttention), [*DELIBERATE, *SLOW])


def run_case(layer_class, name):
    """Errors and failures of one of Keras's cases."""
    result = keras_cases(layer_class)(name).run()
    return [report for _, report in result.errors + result.failures]


def test_every_deliberate_difference_is_one():
    for name in DELIBERATE:
        if not (BACKEND == "tensorflow" and "flash" in name):  # Keras skips it there
            assert run_case(MultiHeadAttention, name), f"{name} passes: take it off the list"


def test_causal_alignment_is_all_that_the_masking_case_differs_in():
    class AlignedAtTheStart(MultiHeadAttention):
        def call(self, query, value, query_mask=None, value_mask=None, attention_mask=None, use_causal_mask=False):
            if use_causal_mask:
                attention_mask = np.tril(np.ones((query.shape[1], value.shape[1]), "bool"))
            masks = {"query_mask": query_mask, "value_mask": value_mask, "attention_mask": attention_mask}
            return super().call(query, value, **masks)

        def build(self, query_shape, value_shape):
            super().build(query_shape, value_shape)

    assert run_case(AlignedAtTheStart, "test_masking_causal") == []


def test_flash_attention_shows_scores(rng):
    x = rng.standard_normal((2, 4, 8)).astype("float32")
    layer, plain = MultiHeadAttention(2, 2, flash_attention=True), MultiHeadAttention(2, 2, flash_attention=False)
    if BACKEND == "tensorflow":
        with pytest.raises(ValueError, match="flash_attention=True needs the JAX or the PyTorch backend"):
            layer(x, x, return_attention_scores=True)
        return
    layer.build(x.shape, x.shape)
    plain.build(x.shape, x.shape)
    plain.set_weights(layer.get_weights())
    for got, expected in zip(*(m(x, x, return_attention_scores=True) for m in (layer, plain)), strict=True):
        np.testing.assert_allclose(values(got), values(expected), atol=1e-6)


def grouped_pair(kv_heads, shape, memory_shape, **arguments):
    """Keras's grouped attention of 4 heads with random weights, and ours with the same."""
    stock = keras.layers.GroupQueryAttention(
        head_dim=3, num_query_heads=4, num_key_value_heads=kv_heads, **arguments, name="attention"
    )
    ours = MultiHeadAttention(4, 3, num_kv_heads=kv_heads, **arguments, name="attention")
    stock.build(shape, memory_shape)
    ours.build(shape, memory_shape)
    random = np.random.default_rng(3)
    stock.set_weights([random.standard_normal(w.shape).astype("float32") * 0.4 for w in stock.weights])
    return stock, ours


def some_seen(rng, *shape):
    """A random mask where each row shows its first entry."""
    mask = rng.random(shape) < 0.6
    mask[..., 0] = True
    return mask


GROUPED_CALLS = {
    "plain": {},
    "scores": {"return_attention_scores": True},
    "causal": {"use_causal_mask": True},
    "attention_mask": {"attention_mask": (2, 5, 5)},
    "causal and attention_mask": {"attention_mask": (2, 5, 5), "use_causal_mask": True},
    "attention_mask by head": {"attention_mask": (2, 4, 5, 5)},
    "value_mask": {"value_mask": (2, 5)},
    "value_mask and scores": {"value_mask": (2, 5), "return_attention_scores": True},
}


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("call", GROUPED_CALLS)
def test_grouped_heads_give_what_kerass_layer_gives(kv_heads, call, rng):
    x = rng.standard_normal((2, 5, 6)).astype("float32")
    call = {
        name: some_seen(rng, *given) if isinstance(given, tuple) else given
        for name, given in GROUPED_CALLS[call].items()
    }
    stock, ours = grouped_pair(kv_heads, x.shape, x.shape)
    ours.set_weights(stock.get_weights())
    for got, expected in zip(*(keras.tree.flatten(layer(x, x, **call)) for layer in (ours, stock)), strict=True):
        np.testing.assert_allclose(values(got), values(expected), atol=2e-6)


@pytest.mark.parametrize(
    "arguments", [{"use_gate": True}, {"use_bias": False}, {"sliding_window": 2}, {"dropout": 0.5}], ids=str
)
def test_grouped_heads_with_each_argument_give_what_kerass_layer_gives(arguments, rng):
    x, memory = rng.standard_normal((2, 5, 6)).astype("float32"), rng.standard_normal((2, 5, 7)).astype("float32")
    stock, ours = grouped_pair(2, x.shape, memory.shape, **arguments)
    assert [w.path for w in ours.weights] == [w.path for w in stock.weights]
    ours.set_weights(stock.get_weights())
    causal = {"use_causal_mask": "sliding_window" in arguments}
    np.testing.assert_allclose(values(ours(x, memory, **causal)), values(stock(x, memory, **causal)), atol=2e-6)
    stock.set_weights([w + 1 for w in ours.get_weights()])
    ours.set_weights(stock.get_weights())
    np.testing.assert_allclose(values(ours(x, memory, **causal)), values(stock(x, memory, **causal)), rtol=1e-5)
