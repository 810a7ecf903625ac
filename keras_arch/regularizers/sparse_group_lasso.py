"""A penalty that drives groups of weights to zero, and single weights in the groups that stay."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.groups import Groups, check_groups, group_axes, group_norms, group_size, widened


@register
class SparseGroupLasso(keras.Regularizer):
    """Mix of the lasso and the group lasso: few groups, and few weights within each.

    penalty = strength · (l1_ratio · Σ_j |w[j]| + (1 − l1_ratio) · sqrt(p) · Σ_g sqrt(Σ_{j in g} w[j]²))

    g: groups, p: entries in each group, j: entries. `l1_ratio=0` is `GroupLasso`, `l1_ratio=1` is
    `keras.regularizers.L1`. Zeros have gradient zero. Gradient steps alone come near zero but not onto it: for exact
    zeros take `keras_arch.constraints.ProximalSparseGroupLasso` in place of the penalty.

    Args:
        strength: factor of the penalty, >= 0.
        l1_ratio: the lasso's share, in [0, 1].
        groups: "filter", "input", "head", an axis or several axes, as in `GroupLasso`.
    Raises:
        ValueError: for a negative strength, a share outside [0, 1] or unknown groups; at the call, if the weight has no
            such axis.
    Returns (call):
        float32 scalar, also for half precision weights, whose norms are computed in float32.
    Source: Simon, Friedman, Hastie and Tibshirani 2013, doi:10.1080/10618600.2012.681250 (their loss is divided by the
    number of samples, as Keras's losses are).

    >>> penalty = SparseGroupLasso(0.1, l1_ratio=0.5)
    >>> round(float(penalty(np.array([[3.0, 0.0], [4.0, 0.0]]))), 4)  # 0.05 · (3 + 4) + 0.05 · sqrt(2) · 5
    0.7036
    """

    def __init__(self, strength: float = 0.01, l1_ratio: float = 0.5, groups: Groups = "filter") -> None:
        self.strength = check.strength("strength", strength)
        self.l1_ratio = check.real("l1_ratio", l1_ratio, minimum=0, maximum=1)
        self.groups = check_groups(groups)

    def __call__(self, x: Any) -> Any:
        """Penalty of one weight: a float32 scalar."""
        axes = group_axes(self.groups, x.shape)
        in_groups = group_size(x.shape, axes) ** 0.5 * ops.sum(group_norms(x, axes))
        single = ops.sum(ops.abs(widened(x)))
        return self.strength * (self.l1_ratio * single + (1 - self.l1_ratio) * in_groups)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"strength": self.strength, "l1_ratio": self.l1_ratio, "groups": self.groups}
