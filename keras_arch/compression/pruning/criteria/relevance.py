"""How relevant an explanation finds a channel."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.compression.pruning.shrinking.mixing import MIXING, kernel_of_filters
from keras_arch.core import check
from keras_arch.core.walk import walk


@dataclasses.dataclass(frozen=True)
class Relevance:
    """A filter matters as much as an explanation says that what it gives counts for the model's answers.

    score = mean over samples and places of |relevance of the filter's channel|, the same for all weights of a filter

    Made for the pattern "channel". Any attribution of a layer's output will do; the model comes at the call, so that
    explanations follow the training:

        method = lambda layer: ka.explain.IntegratedGradients(steps=8, layer=layer)
        criterion = Relevance(lambda model, layer: method(layer).explain(model, x, target=y))

    Args:
        explain: callable (model, path of a layer) -> relevances of what that layer gives, (N, ..., C), C: its filters;
            an array or an object with such `values`, for example an `Attribution`.
    Raises:
        ValueError: here if `explain` can't be called; in `Pruner`, for relevances that do not end with one number for
            each filter, or with a target that is not the kernel of a dense or convolutional layer.
    Source: Yeom et al. 2021, arXiv:1912.08881, with relevance propagation as the explanation.

    >>> layers = [keras.Input((2,)), keras.layers.Dense(2, name="body"), keras.layers.Dense(1)]
    >>> model = keras.Sequential(layers)
    >>> criterion = ka.compression.pruning.criteria.Relevance(lambda model, layer: np.array([[0.2, -0.5]]))
    >>> report = ka.compression.prune(model, 0.5, criterion=criterion, pattern="channel")
    >>> (keras.ops.convert_to_numpy(model.layers[0].kernel) == 0).all(axis=0).tolist()
    [True, False]
    """

    explain: Callable[[keras.Model, str], Any]

    def __post_init__(self) -> None:
        if not callable(self.explain):
            rule = "must be a callable (model, path of a layer) -> relevances"
            raise check.refuse("explain", rule, self.explain, "Pass a function that explains what the layer gives.")

    def get_config(self) -> dict[str, Any]:
        """Refuse: a function does not belong into a config.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "Relevance can't be serialised, since it holds a function. "
            "Make it anew where it is used: Relevance(explain)."
        )

    def for_model(self, model: keras.Model, variables: list[keras.Variable]) -> Callable[[keras.Variable], np.ndarray]:
        """Explain the layers that own some kernels, now.

        Args:
            model: a built model.
            variables: kernels of it.
        Returns:
            A callable from one of the kernels to its scores, float32, of its shape.
        """
        owners = {}
        for path, layer in walk(model):
            if isinstance(layer, MIXING) and layer.built:
                kernel, axis = kernel_of_filters(layer)
                owners[id(kernel)] = path, axis
        scores = {}
        for variable in variables:
            if id(variable) not in owners:
                raise ValueError(
                    "criterion needs targets that are kernels of dense or convolutional layers; received "
                    f"{variable.path}. Leave it out by targets."
                )
            path, axis = owners[id(variable)]
            filters = self._filters(model, path, variable.shape[axis])
            shape = [1] * len(variable.shape)
            shape[axis] = -1
            scores[id(variable)] = np.broadcast_to(filters.reshape(shape), tuple(variable.shape))
        return lambda variable: scores[id(variable)]

    def _filters(self, model: keras.Model, path: str, count: int) -> np.ndarray:
        relevances = self.explain(model, path)
        relevances = ops.convert_to_numpy(getattr(relevances, "values", relevances))
        if relevances.ndim < 2 or relevances.shape[-1] != count:
            raise ValueError(
                f"explain must return relevances (N, ..., {count}) of what {path!r} gives; received an array of shape "
                f"{relevances.shape}. Explain the layer that it is asked for."
            )
        return np.abs(relevances, dtype="float32").mean(axis=tuple(range(relevances.ndim - 1)))
