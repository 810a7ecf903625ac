"""A step of the sparse group lasso that sets groups and single weights to exactly zero."""

from typing import Any

import keras

from keras_arch.constraints.learning_rate import check_learning_rate, learning_rate_number, threshold
from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.groups import Groups, check_groups, group_axes
from keras_arch.ops.proximal import shrink_groups, soft_threshold


@register
class ProximalSparseGroupLasso(keras.constraints.Constraint):
    """Soft threshold, then group shrinkage, after each optimizer step: the sparse group lasso as a proximal step.

    u = sign(w) · max(|w| − l1_ratio · t, 0)
    w_g ← u_g · max(1 − (1 − l1_ratio) · t · sqrt(p) / ‖u_g‖, 0),   t = strength · learning_rate

    g: groups, p: entries in each. In this order the two are the proximal operator of their sum, exactly. It takes the
    place of `SparseGroupLasso(strength, l1_ratio)`: do not use both. How t relates to the optimizer, what a schedule
    needs, gradient accumulation and saved files are as in `ProximalGroupLasso`.

    Args:
        strength: factor of the penalty that this is the proximal step of, >= 0.
        l1_ratio: the lasso's share, in [0, 1].
        groups: "filter", "input", "head", an axis or several axes, as in `GroupLasso`.
        learning_rate: of the optimizer that trains the weight: a number >= 0, or the optimizer itself, whose rate is
            then read at each step, schedules included.
    Raises:
        ValueError: for a negative or infinite strength or learning rate, a share outside [0, 1] or unknown groups; at
            the call, if the weight has no such axis.
    Returns (call):
        Tensor like the weight; computed in float32 at least.
    Source: Simon, Friedman, Hastie and Tibshirani 2013, doi:10.1080/10618600.2012.681250.

    >>> step = ProximalSparseGroupLasso(1.0, l1_ratio=1.0, learning_rate=0.5)
    >>> keras.ops.convert_to_numpy(step(np.array([[3.0, 0.3], [4.0, 0.4]]))).tolist()
    [[2.5, 0.0], [3.5, 0.0]]
    """

    def __init__(
        self,
        strength: float = 0.01,
        l1_ratio: float = 0.5,
        groups: Groups = "filter",
        learning_rate: float | keras.Optimizer = 0.01,
    ) -> None:
        self.strength = check.strength("strength", strength)
        self.l1_ratio = check.real("l1_ratio", l1_ratio, minimum=0, maximum=1)
        self.groups = check_groups(groups)
        self.learning_rate = check_learning_rate(learning_rate)

    def __call__(self, w: Any) -> Any:
        """The weight after the proximal step."""
        step = threshold(self.strength, self.learning_rate)
        axes = group_axes(self.groups, w.shape)
        return shrink_groups(soft_threshold(w, self.l1_ratio * step), axes, (1 - self.l1_ratio) * step)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, the learning rate as a number."""
        return {
            "strength": self.strength,
            "l1_ratio": self.l1_ratio,
            "groups": self.groups,
            "learning_rate": learning_rate_number(self.learning_rate),
        }
