"""A penalty that drives whole groups of weights to zero together."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.groups import Groups, check_groups, group_axes, group_norms, group_size


@register
class GroupLasso(keras.Regularizer):
    """Sum of the Euclidean norms of a weight's groups, each weighed by the root of its size.

    penalty = strength · sqrt(p) · Σ_g sqrt(Σ_{j in g} w[j]²)

    g: groups, p: entries in each group. Like the absolute value in the lasso, the norm pulls with the same force
    however small a group is, so whole filters (input channels, heads) fade out where they are not needed. An all-zero
    group has gradient zero. Gradient steps alone come near zero but not onto it: for groups that are exactly zero take
    `keras_arch.constraints.ProximalGroupLasso` in place of the penalty.

    `"filter"` and `"input"` name the last axis and the one before it: units and inputs of `Dense`, filters and input
    channels of `Conv1D` to `Conv3D`. Layers that lay out their kernels otherwise take axes: `Conv2DTranspose` has
    filters at -2 and input channels at -1, `DepthwiseConv2D` has filters at (-2, -1). `"head"` names the heads of all
    kernels of an attention layer, told by their shapes: (D, N, H) of queries, keys and values, (N, H, D) of the
    outputs, where the model size D is a multiple of N heads times head size H. Where it is not, the axis has to be
    named, and one regularizer for the layer cannot name both.

    Args:
        strength: factor of the penalty, >= 0.
        groups: "filter", "input", "head", an axis or several axes: one group for each index along these axes.
    Raises:
        ValueError: for a negative strength or unknown groups; at the call, if the weight has no such axis.
    Returns (call):
        float32 scalar, also for half precision weights, whose norms are computed in float32.
    Source: Yuan and Lin 2006, doi:10.1111/j.1467-9868.2005.00532.x, for the root of the group size; Wen et al. 2016,
    arXiv:1608.03665, for filters and channels (their penalty has no such root).

    >>> penalty = GroupLasso(0.1, groups="filter")
    >>> round(float(penalty(np.array([[3.0, 0.0], [4.0, 0.0]]))), 4)
    0.7071
    """

    def __init__(self, strength: float = 0.01, groups: Groups = "filter") -> None:
        self.strength = check.strength("strength", strength)
        self.groups = check_groups(groups)

    def __call__(self, x: Any) -> Any:
        """Penalty of one weight: a float32 scalar."""
        axes = group_axes(self.groups, x.shape)
        return self.strength * group_size(x.shape, axes) ** 0.5 * ops.sum(group_norms(x, axes))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"strength": self.strength, "groups": self.groups}
