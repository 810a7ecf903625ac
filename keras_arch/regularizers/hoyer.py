"""A penalty on how evenly a weight is spread, whatever its scale."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.groups import Groups, check_groups, group_axes, group_norms, widened


@register
class Hoyer(keras.Regularizer):
    """Hoyer-square: the squared sum of magnitudes over the sum of squares, of entries or of groups.

    penalty = strength · (Σ_g ‖w_g‖)² / Σ_g ‖w_g‖²

    g: groups, single entries for `groups=None`. The quotient lies between 1 (one group is not zero) and the number of
    groups (all alike), and counts them, about. It does not change with the weight's scale: unlike the lasso it does not
    shrink what is large, but makes small entries smaller and large ones larger. A weight of zeros costs 0, with
    gradient zero.

    Args:
        strength: factor of the penalty, >= 0.
        groups: None for single entries; "filter", "input", "head", an axis or several axes, as in `GroupLasso`.
    Raises:
        ValueError: for a negative strength or unknown groups; at the call, if the weight has no such axis.
    Returns (call):
        float32 scalar, also for half precision weights, whose norms are computed in float32.
    Source: Yang, Wen and Li 2020, "DeepHoyer", arXiv:1908.09979: Hoyer-Square and Group-HS. They add the groups of
    filters and of input channels; give one of them here, or add two penalties.

    >>> penalty = Hoyer(1.0)
    >>> [round(float(penalty(np.array(w))), 4) for w in ([1.0, 0.0], [1.0, 1.0], [7.0, 7.0])]
    [1.0, 2.0, 2.0]
    """

    def __init__(self, strength: float = 1e-4, groups: Groups | None = None) -> None:
        self.strength = check.strength("strength", strength)
        self.groups = None if groups is None else check_groups(groups)

    def __call__(self, x: Any) -> Any:
        """Penalty of one weight: a float32 scalar."""
        if self.groups is None:
            norms = ops.abs(widened(x))
        else:
            norms = group_norms(x, group_axes(self.groups, x.shape))
        squares = ops.sum(ops.square(norms))
        return self.strength * ops.square(ops.sum(norms)) / ops.where(squares > 0, squares, ops.ones_like(squares))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"strength": self.strength, "groups": self.groups}
