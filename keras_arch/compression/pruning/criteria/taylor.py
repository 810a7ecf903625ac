"""First-order Taylor importance: what the loss would change by without a weight."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from keras_arch.compression.pruning.criteria.sampled import Sampled, scores_by_variable


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Taylor(Sampled):
    """A weight matters as much as the loss would change without it, to first order.

    score = |w * dL/dw|     L: mean loss over the samples

    The scores follow the training: they are computed anew each time masks are chosen, and once before, when `Pruner`
    checks its arguments, in one pass over the samples. A weight that the loss does not depend on has the score 0. So
    have pruned weights: they stay pruned, but where live ones have the score 0 as well, these may go in their stead.
    Near a minimum all gradients are small and so are the scores: choose masks while the loss still has a slope there.

    The gradient is taken with `training=False`, without dropout's noise and with the moving statistics of batch
    normalization; see `loss_gradients`. Scores of one layer compare with those of another, so `scope="global"` is at
    home here.

    This is the form of the 2019 paper for single weights, (g w)^2 with g over all samples, without the square: the
    order is the same, and sums over blocks of weights stay in the unit of the loss. The 2017 paper scores the
    activations of whole filters, and takes absolute values sample by sample; that needs gradients of each sample.

    Args:
        x: samples, batch axis first: an array or tensor, or a list, tuple or dict of them as the model takes. A few
            hundred that training uses will do.
        y: targets of as many samples.
        loss: None for the loss that the model was compiled with, its penalties included; a Keras identifier; or a
            callable (y_true, y_pred), whose mean is taken.
        batch_size: samples per step, >= 1; memory grows with it, not with the number of samples.
    Raises:
        ValueError: here if an argument breaks its rule; in `Pruner` if the model has no loss and none is given, or
            gradients are NaN.

    Source: Molchanov et al. 2019, arXiv:1906.10771; Molchanov et al. 2017, arXiv:1611.06440.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> criterion = ka.compression.pruning.criteria.Taylor(np.array([[3.0, 0.1]]), np.array([[1.0]]), loss="mse")
    >>> report = ka.compression.prune(model, 0.5, criterion=criterion)
    >>> model.layers[0].kernel.numpy().ravel().tolist()
    [1.0, 0.0]
    """

    def for_model(self, model: keras.Model, variables: list[keras.Variable]) -> Callable[[keras.Variable], np.ndarray]:
        """Compute the scores of some weights now.

        Args:
            model: a built model; it is read, never changed.
            variables: weights of it.
        Returns:
            A callable from one of the variables to its scores, float32, of its shape.
        """
        return scores_by_variable(variables, [np.abs(product) for product in self.products(model, variables)])
