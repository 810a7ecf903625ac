"""What the criteria share that look at labelled samples."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_arch.compression.pruning.loss_gradients import Loss, loss_gradients
from keras_arch.core import check


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Sampled:
    """Base of the criteria that read samples: checked, printed by their shapes, compared by their numbers.

    They hold data, so they have no string id to be made from and are not written into a config. The model comes at the
    call: a subclass defines `for_model(model, variables)`, which `Pruner` asks each time masks are chosen.

    Args:
        x: samples, batch axis first: an array or tensor, or a list, tuple or dict of them as the model takes.
        y: targets of as many samples, in the structure that the loss takes.
        loss: None for the loss that the model was compiled with, or a Keras identifier or callable (y_true, y_pred).
        batch_size: samples per step, >= 1.
    Raises:
        ValueError: if an argument breaks its rule.

    >>> from keras_arch.compression.pruning.criteria.sampled import Sampled
    >>> Sampled(np.ones((4, 2)), {"head": np.ones(4)}, "mse")
    Sampled(x=array(4, 2), y={'head': array(4,)}, loss='mse', batch_size=32)
    """

    x: Any
    y: Any
    loss: Loss = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        lengths = [_length(name, leaf) for name in ("x", "y") for leaf in _leaves(name, getattr(self, name))]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"x and y must hold equally many samples; received arrays of {lengths} samples. "
                "Cut them to the same length."
            )
        _check_loss(self.loss)
        check.integer("batch_size", self.batch_size)

    def get_config(self) -> dict[str, Any]:
        """Refuse: samples do not belong into a config.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"{type(self).__name__} can't be serialised, since it holds samples. "
            f"Make it anew where it is used: {type(self).__name__}(x, y)."
        )

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return (
            (self.loss is other.loss or self.loss == other.loss)
            and self.batch_size == other.batch_size
            and _same(self.x, other.x)
            and _same(self.y, other.y)
        )

    def __hash__(self) -> int:
        shapes = tuple(tuple(leaf.shape) for leaf in keras.tree.flatten((self.x, self.y)))
        return hash((type(self), shapes, self.batch_size))

    def __repr__(self) -> str:
        x, y = (keras.tree.map_structure(_Shape, part) for part in (self.x, self.y))
        loss = repr(self.loss) if isinstance(self.loss, str | None) else check.describe(self.loss)
        return f"{type(self).__name__}(x={x!r}, y={y!r}, loss={loss}, batch_size={self.batch_size})"

    def products(self, model: keras.Model, variables: list[keras.Variable]) -> list[np.ndarray]:
        """w * dL/dw of each variable, with the weights as they are now.

        Args:
            model: a built model.
            variables: weights of it.
        Returns:
            Arrays of the variables' shapes, float32 (float64 for float64).
        Raises:
            ValueError: if the model has no loss and none was given.
        """
        found = loss_gradients(model, self.x, self.y, variables, self.loss, self.batch_size)
        return [
            gradient * keras.ops.convert_to_numpy(variable.value).astype(gradient.dtype)
            for gradient, variable in zip(found, variables, strict=True)
        ]


def scores_by_variable(variables: list[keras.Variable], scores: list[np.ndarray]) -> Any:
    """A callable `variable -> scores` that looks up what was computed for all of them.

    Args:
        variables: weights.
        scores: one array each.

    >>> from keras_arch.compression.pruning.criteria.sampled import scores_by_variable
    >>> weight = keras.Variable([1.0])
    >>> scores_by_variable([weight], [np.array([2.0])])(weight)
    array([2.])
    """
    table = {id(variable): (variable, score) for variable, score in zip(variables, scores, strict=True)}
    return lambda variable: table[id(variable)][1]


class _Shape:
    """Stands for an array in print."""

    def __init__(self, leaf: Any) -> None:
        self.shape = tuple(leaf.shape)

    def __repr__(self) -> str:
        return f"array{self.shape}"


def _leaves(name: str, part: Any) -> list:
    leaves = keras.tree.flatten(part)
    if not leaves:
        raise check.refuse(name, "must hold at least one array", part, "Pass arrays with the batch axis first.")
    return leaves


def _length(name: str, leaf: Any) -> int:
    shape = getattr(leaf, "shape", None)
    if shape is None or isinstance(leaf, type):
        rule = "must be an array, or a list, tuple or dict of arrays"
        advice = "Convert numbers by np.asarray; of a dataset take one large batch, x, y = next(iter(dataset))."
        raise check.refuse(name, rule, leaf, advice)
    if len(shape) == 0 or not shape[0]:
        raise ValueError(
            f"{name} must hold at least one sample, batch axis first; received shape {tuple(shape)}. "
            f"Pass {name}[:1] or more."
        )
    return int(shape[0])


def _check_loss(loss: Any) -> None:
    rule = "must be None, a Keras identifier or a callable (y_true, y_pred)"
    advice = "Pass for example 'mse'."
    if isinstance(loss, type) or not (loss is None or isinstance(loss, str) or callable(loss)):
        raise check.refuse("loss", rule, loss, advice)
    if isinstance(loss, str):
        try:
            keras.losses.get(loss)
        except ValueError as error:
            raise check.refuse("loss", rule, loss, advice) from error


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        keras.tree.assert_same_structure(one, other)
    except (TypeError, ValueError):
        return False
    pairs = zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True)
    return all(a is b or np.array_equal(*map(keras.ops.convert_to_numpy, (a, b))) for a, b in pairs)
