"""Connection sensitivity, taken once."""

import dataclasses
import weakref
from collections.abc import Callable

import keras
import numpy as np

from keras_arch.compression.pruning.criteria.sampled import Sampled, scores_by_variable


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SNIP(Sampled):
    """A connection matters as much as the loss is sensitive to it when it is first asked for: before training.

    score = |dL/dc| at c = 1, with c * w in place of w, = |w * dL/dw|; over the sum of that of all weights asked for.

    It differs from `Taylor` in time: the sensitivities of a weight are computed the first time that this object is
    asked about it, with the model as it is then, and kept while both live; training changes the choice no more. So pass
    it to a model that was just initialised, and make a new object to start over. Pruning the network at once, as the
    paper does, is `compression.prune(model, 0.9, scope="global", criterion=SNIP(x, y))` before `fit`.

    The paper takes one batch of training, about ten samples a class. Here the model runs with `training=False`, so the
    scores are not those of one draw of dropout, and batch normalization uses its moving statistics, which are 0 and 1
    at initialisation; see `loss_gradients`. A weight that the loss does not depend on has the score 0.

    Args:
        x: samples, batch axis first: an array or tensor, or a list, tuple or dict of them as the model takes.
        y: targets of as many samples.
        loss: None for the loss that the model was compiled with, its penalties included; a Keras identifier; or a
            callable (y_true, y_pred), whose mean is taken.
        batch_size: samples per step, >= 1; memory grows with it, not with the number of samples.
    Raises:
        ValueError: here if an argument breaks its rule; in `Pruner` if the model has no loss and none is given, or
            gradients are NaN.

    Source: Lee et al. 2019, arXiv:1810.02340.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> criterion = ka.compression.pruning.criteria.SNIP(np.array([[3.0, 1.0]]), np.array([[1.0]]), loss="mse")
    >>> kernel = model.layers[0].kernel
    >>> criterion.for_model(model, [kernel])(kernel).ravel().tolist()
    [0.75, 0.25]
    """

    # Not part of the value: what was found so far, of each model that lives, as (weak reference to a weight, |w g|).
    _kept: weakref.WeakKeyDictionary = dataclasses.field(
        init=False, repr=False, compare=False, default_factory=weakref.WeakKeyDictionary
    )

    def for_model(self, model: keras.Model, variables: list[keras.Variable]) -> Callable[[keras.Variable], np.ndarray]:
        """Compute the scores of the weights that were not asked about before, and look up the others.

        Args:
            model: a built model; it is read, never changed.
            variables: weights of it.
        Returns:
            A callable from one of the variables to its scores, float32, of its shape; the sum over all is 1, or 0 if
            the loss depends on none.
        """
        kept = self._kept.setdefault(model, [])
        known = {id(weight()) for weight, _ in kept}
        news = [variable for variable in variables if id(variable) not in known]
        if news:
            found = self.products(model, news)
            kept += [(weakref.ref(weight), np.abs(product)) for weight, product in zip(news, found, strict=True)]
        table = {id(weight()): sensitivity for weight, sensitivity in kept}
        sensitivities = [table[id(variable)] for variable in variables]
        total = sum(float(sensitivity.sum(dtype="float64")) for sensitivity in sensitivities)
        return scores_by_variable(variables, [s / s.dtype.type(total or 1.0) for s in sensitivities])
