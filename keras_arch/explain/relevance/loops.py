"""Recurrent layers: gates are constants, candidates pass relevance, biases absorb."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from keras_arch.core import tap, walk
from keras_arch.explain.relevance.ledger import Ledger, wide
from keras_arch.explain.relevance.maps import reading


@contextlib.contextmanager
def looping(layer: keras.layers.RNN, ledger: Ledger) -> Iterator[None]:
    """Let relevance flow through a recurrent layer inside the block: the loop runs as it is, and its cell computes

    h = gate · candidate + ..., with the gates as constants, the candidates' activations passing relevance through,
    and sums by the rule LRP-0 (`EpsilonRule(0)`), whatever the composite says.

    It holds for cells whose gates are `recurrent_activation` and whose candidates are `activation`: those of LSTM,
    GRU, SimpleRNN and ConvLSTM. Others show in the sum of the relevance, which is checked.

    Args:
        layer: a recurrent layer.
        ledger: where absorbed relevance is booked.
    Source: Arras et al. 2017, arXiv:1706.07206 (the rule "all").
    """
    biases = [weight for weight in layer.variables if weight.path.rpartition("/")[2] == "bias"]

    def around(original: Callable, *args: Any, **kwargs: Any) -> Any:
        lent = [(bias, ops.cast(wide(bias.value) * ledger.one, bias.dtype)) for bias in biases]
        with reading(layer, lent):
            return original(*args, **kwargs)

    with contextlib.ExitStack() as stack:
        stack.enter_context(tap.intercept(layer, around))
        if hasattr(layer, "use_cudnn"):
            stack.enter_context(tap.replaced(layer, use_cudnn=False))
        for _, part in walk.walk(layer):
            if not hasattr(part, "state_size"):
                continue
            new = {}
            if callable(gate := getattr(part, "recurrent_activation", None)):
                new["recurrent_activation"] = lambda x, gate=gate: ops.stop_gradient(gate(x))
            if callable(activation := getattr(part, "activation", None)) and activation is not keras.activations.relu:
                new["activation"] = _passing(ledger, activation)
            stack.enter_context(tap.replaced(part, **new))
        yield


def _passing(ledger: Ledger, activation: Callable) -> Callable:
    return lambda x: ledger.passed(x, ops.stop_gradient(activation(x)))
