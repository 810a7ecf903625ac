"""A step of the group lasso that sets whole groups of weights to exactly zero."""

from typing import Any

import keras

from keras_arch.constraints.learning_rate import check_learning_rate, learning_rate_number, threshold
from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.groups import Groups, check_groups, group_axes
from keras_arch.ops.proximal import shrink_groups


@register
class ProximalGroupLasso(keras.constraints.Constraint):
    """Shrinks the norm of each group after each optimizer step: the group lasso with groups that are exactly zero.

    w_g ← w_g · max(1 − t · sqrt(p) / ‖w_g‖, 0),   t = strength · learning_rate

    g: groups, p: entries in each. It takes the place of `GroupLasso(strength)`, whose gradient leaves small groups
    trembling around zero. Do not use both.

    With plain SGD at that learning rate this is proximal gradient descent: it converges to where loss + GroupLasso
    penalty is least. Momentum keeps that point, but velocity pushes zero groups back for a while. Adam divides
    gradients by their own size, and t does not follow: the penalty that counts is then relative to gradients, about
    strength times their root mean square, and other points are reached. Adam moves an entry by at most about the
    learning rate, so with it strength means: a group stays zero unless its gradients agree from step to step to about
    that degree; 1 or more empties everything, 0.01 to 0.3 is a range to search.

    A learning rate that falls while t stays is a strength that grows: with a schedule, or a callback that changes the
    rate, pass the optimizer (and compile with the same one). A constraint acts at each step also under gradient
    accumulation: divide the strength by the number of steps there. A file keeps the rate as the number it was: after
    `load_model`, set `layer.kernel_constraint.learning_rate = model.optimizer` before training goes on.

    Args:
        strength: factor of the penalty that this is the proximal step of, >= 0.
        groups: "filter", "input", "head", an axis or several axes, as in `GroupLasso`.
        learning_rate: of the optimizer that trains the weight: a number >= 0, or the optimizer itself, whose rate is
            then read at each step, schedules included.
    Raises:
        ValueError: for a negative or infinite strength or learning rate, or unknown groups; at the call, if the weight
            has no such axis.
    Returns (call):
        Tensor like the weight; computed in float32 at least. Weights kept in half precision round small steps away.
    Source: Yuan and Lin 2006, doi:10.1111/j.1467-9868.2005.00532.x; Parikh and Boyd 2014, doi:10.1561/2400000003;
    on proximal steps with Adam's scaling, which this is not: Yun, Lozano and Yang 2020, arXiv:2007.07484.

    >>> step = ProximalGroupLasso(1.0, learning_rate=0.5 / 2**0.5)
    >>> keras.ops.convert_to_numpy(step(np.array([[3.0, 0.3], [4.0, 0.4]]))).round(4).tolist()  # norms 5 and 0.5
    [[2.7, 0.0], [3.6, 0.0]]
    """

    def __init__(
        self, strength: float = 0.01, groups: Groups = "filter", learning_rate: float | keras.Optimizer = 0.01
    ) -> None:
        self.strength = check.strength("strength", strength)
        self.groups = check_groups(groups)
        self.learning_rate = check_learning_rate(learning_rate)

    def __call__(self, w: Any) -> Any:
        """The weight after the proximal step."""
        return shrink_groups(w, group_axes(self.groups, w.shape), threshold(self.strength, self.learning_rate))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, the learning rate as a number."""
        rate = learning_rate_number(self.learning_rate)
        return {"strength": self.strength, "groups": self.groups, "learning_rate": rate}
