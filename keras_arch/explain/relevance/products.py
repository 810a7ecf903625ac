"""Products of two tensors that depend on the input: attention, gates and bare operations.

With y = a · b and R_i = x_i c_i, the plain gradient would hand R to both. A gate is a constant, and of two equals each
gets half. Source: Arras et al. 2017, arXiv:1706.07206 (gates), Achtibat et al. 2024, arXiv:2402.05602 (halves), Ali et
al. 2022, arXiv:2202.07304 (attention weights as constants).
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
from keras import ops

from keras_arch.explain.relevance.ledger import Ledger, faded

L = keras.layers
ATTENTIONS = ("constant", "attnlrp")
# Bare operations of a functional model, by the names of their classes: Keras exports the functions only.
_PRODUCTS = ("Multiply", "Matmul", "Einsum", "Dot", "Tensordot", "Inner", "Outer", "Vdot")
_QUOTIENTS = ("Divide", "TrueDivide", "DivideNoNan")
_ENDS = ("Sigmoid", "Softmax")
_SUMS = ("Add", "Subtract")
_HOMOGENEOUS = ("Abs", "Absolute", "LeakyRelu", "Negative", "Positive", "Relu")
_ELEMENTWISE = (
    *("Arcsinh", "Arctan", "Celu", "Cos", "Elu", "Erf", "Exp", "Expm1", "Gelu", "HardSigmoid", "HardSilu", "HardTanh"),
    *("Log", "Log1p", "LogSigmoid", "LogSoftmax", "Power", "Reciprocal", "Relu6", "Rsqrt", "Selu", "Sigmoid", "Silu"),
    *("Sin", "Softmax", "Softplus", "Softsign", "Sqrt", "Square", "SquarePlus", "Tanh", "TanhShrink", "SparseSigmoid"),
)


def fades(layers: Iterable[keras.Layer], attention: str) -> dict[int, float]:
    """By id, factors for the gradients of layers whose output is one side of a product inside another layer.

    Args:
        layers: all layers of a model.
        attention: "constant": weights of attention are constants; "attnlrp": half of the relevance goes to the values,
            half to the weights, of which queries and keys get half each after the softmax.
    """
    found = {}
    for layer in layers:
        query, key, value, gate = _projections(layer)
        if query is not None and key is not None and value is not None:
            shares = (0.0, 0.0, 1.0) if attention == "constant" else (0.25, 0.25, 0.5)
            found.update(zip(map(id, (query, key, value)), shares, strict=True))
            found.update({id(gate): 0.0} if gate is not None else {})
        elif hasattr(layer, "gate_dense") and hasattr(layer, "value_dense"):
            found.update({id(layer.gate_dense): 0.5, id(layer.value_dense): 0.5})
        elif hasattr(layer, "excite_dense"):
            found[id(layer.excite_dense)] = 0.0
    return found


def _projections(layer: keras.Layer) -> tuple:
    """(query, key, value, gate or None) of an attention layer. `GroupQueryAttention` has private names for all of
    them, `MultiHeadAttention` for the gate only (Keras 3.15)."""
    if not isinstance(layer, L.MultiHeadAttention | L.GroupQueryAttention):
        return (None, None, None, None)
    return tuple(getattr(layer, f"_{name}_dense", None) for name in ("query", "key", "value", "gate"))


def operations(model: keras.Model, layers: Iterable[keras.Layer]) -> Iterator[keras.Operation]:
    """Each bare operation of the functional models in a model, such as `keras.ops.tanh(x)` or x * y."""
    seen = set()
    hidden = (getattr(one, "_functional", None) for one in (model, *layers))
    for owner in (model, *layers, *hidden):
        for operation in getattr(owner, "operations", None) or ():
            if not isinstance(operation, keras.Layer) and id(operation) not in seen:
                seen.add(id(operation))
                yield operation


def around(operation: keras.Operation, ledger: Ledger, passing: Callable[[Any, Any, bool], Any]) -> Callable | None:
    """What runs in the place of a bare operation's call; None for one that needs nothing.

    Args:
        operation: of a functional model.
        ledger: where absorbed relevance is booked.
        passing: function from the input and the output of an elementwise function, and whether it makes probabilities
            of logits, to an output that hands relevance through.
    """
    name = type(operation).__name__
    if name in _HOMOGENEOUS:
        return None
    if name in _PRODUCTS:
        equal = name != "Multiply"
        return lambda original, *args, **kwargs: original(*shared(args, equal=equal), **kwargs)
    if name in _QUOTIENTS:
        return lambda original, above, below: original(above, ops.stop_gradient(below) if _is_active(below) else below)
    if name in _SUMS:
        return _sum(name, ledger)
    if name in _ELEMENTWISE:
        return lambda original, x, *args, **kwargs: (
            passing(x, ops.stop_gradient(original(x, *args, **kwargs)), name in _ENDS)
            if _is_active(x)
            else original(x, *args, **kwargs)
        )
    return None


def _sum(name: str, ledger: Ledger) -> Callable:
    def summed(original: Callable, one: Any, other: Any) -> Any:
        result = original(one, other)
        if _is_active(one) == _is_active(other):
            return result
        sign = -1.0 if name == "Subtract" and _is_active(other) else 1.0
        part = one if _is_active(one) else sign * other
        return ledger.keep(ops.stop_gradient(result), part * ops.ones_like(result))

    return summed


def around_layer(layer: keras.Layer, attention: str) -> Callable | None:
    """What runs in the place of the call of a layer that multiplies its inputs; None for others.

    Args:
        layer: any layer.
        attention: as of `fades`.
    """
    if isinstance(layer, L.Multiply):
        return lambda original, inputs, **kwargs: original(shared(inputs), **kwargs)
    if isinstance(layer, L.Dot):
        return lambda original, inputs, **kwargs: original(shared(inputs, equal=True), **kwargs)
    if isinstance(layer, L.Attention | L.AdditiveAttention):
        query, key, value = (0.0, 0.0, 1.0) if attention == "constant" else (0.25, 0.25, 0.5)

        def attended(original: Callable, inputs: list, *args: Any, **kwargs: Any) -> Any:
            parts = [(inputs[0], query), (inputs[1], value), (inputs[2] if len(inputs) > 2 else inputs[1], key)]
            return original([faded(part, factor) for part, factor in parts], *args, **kwargs)

        # A mask has one part for each input that the user gave; the key's is not read.
        return attended
    return None


def shared(factors: Iterable[Any], equal: bool = False) -> list:
    """Factors of a product with their gradients scaled, so that relevance is handed on once.

    Factors that are spread over positions or channels, such as the weights of squeeze-and-excite, (N, 1, 1, C), gate
    the others and are constants; of those of one size each gets the same share. Constants need none.

    Args:
        factors: tensors and numbers.
        equal: whether sizes do not tell a gate, as in a matrix product.
    """
    factors = list(factors)
    active = [factor for factor in factors if _is_active(factor)]
    sizes = [_size(factor) for factor in active]
    whole = [equal or size == max(sizes) for size in sizes]
    shares = iter([1 / sum(whole) if one else 0.0 for one in whole])
    return [faded(factor, next(shares)) if _is_active(factor) else factor for factor in factors]


def _size(tensor: Any) -> int:
    count = 1
    for length in tensor.shape[1:]:
        count *= length or 1
    return count


def _is_active(thing: Any) -> bool:
    """Whether something is a tensor of floats, and not a number or a weight."""
    if not ops.is_tensor(thing) or isinstance(thing, keras.Variable):
        return False
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(thing.dtype))


def activation_of(layer: keras.Layer) -> Callable | None:
    """A function that the layer keeps as `activation`, or None."""
    activation = getattr(layer, "activation", None)
    return activation if callable(activation) and not inspect.isclass(activation) else None
