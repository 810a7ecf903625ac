"""The numbers before a final softmax or sigmoid, where no graph can be read: kept while the layer computes."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_arch.core import tap, walk


@contextlib.contextmanager
def following(model: keras.Model, output: str) -> Iterator[Callable[[Any], Any]]:
    """Give the function from an output of the model to what `output` means: itself, its logits or probabilities.

    Softmax and sigmoid are found as activations of layers and as layers.

    Args:
        model: it runs inside the block.
        output: "model", "logits" or "probabilities".
    """
    if output == "model":
        yield lambda tensor: tensor
        return
    before: dict[int, tuple[Any, Any]] = {}  # keeps each tensor alive, so that no two share an id
    linear: dict[int, Any] = {}

    def noting(function: Callable) -> Callable:
        def noted(tensor: Any, *args: Any, **kwargs: Any) -> Any:
            result = function(tensor, *args, **kwargs)
            before[id(result)] = (tensor, result)
            return result

        return noted

    def plain(result: Any) -> Any:
        linear[id(result)] = result
        return result

    def choose(tensor: Any) -> Any:
        if id(tensor) in before:
            return before[id(tensor)][0] if output == "logits" else tensor
        if output == "logits" and id(tensor) in linear:
            return tensor
        raise refuse_output(output, "something else than a layer with softmax or sigmoid")

    wanted = (keras.activations.softmax, keras.activations.sigmoid)
    with contextlib.ExitStack() as stack:
        for _, layer in walk.walk(model):
            activation = getattr(layer, "activation", None)
            if isinstance(layer, keras.layers.Softmax):
                stack.enter_context(
                    tap.intercept(layer, lambda original, *args, **kwargs: noting(original)(*args, **kwargs))
                )
            elif activation in wanted:
                stack.enter_context(tap.replaced(layer, activation=noting(activation)))
            elif activation in (None, keras.activations.linear) and getattr(layer, "kernel", None) is not None:
                stack.enter_context(tap.tap(layer, plain))
        yield choose


def refuse_output(output: str, end: str) -> ValueError:
    """Build the error for a model whose end does not tell its logits or probabilities.

    Args:
        output: what was asked for.
        end: what the model ends in.

    >>> str(refuse_output("logits", "a sum"))[:68]
    "output must be 'model' for a model that ends in a sum: its logits ca"
    """
    advice = (
        "Let the model end in a softmax or sigmoid, or in a linear layer"
        if output == "logits"
        else "Append keras.layers.Softmax() to the model"
    )
    return ValueError(
        f"output must be 'model' for a model that ends in {end}: its {output} cannot be told; "
        f"received output={output!r}. {advice}, or pass output='model'."
    )
