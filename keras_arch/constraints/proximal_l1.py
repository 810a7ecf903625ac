"""A step of the lasso that sets weights to exactly zero."""

from typing import Any

import keras

from keras_arch.constraints.learning_rate import check_learning_rate, learning_rate_number, threshold
from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.proximal import soft_threshold


@register
class ProximalL1(keras.constraints.Constraint):
    """Soft threshold after each optimizer step: the lasso as a proximal step, with weights that are exactly zero.

    w ← sign(w) · max(|w| − t, 0),   t = strength · learning_rate

    It takes the place of `keras.regularizers.L1(strength)`: a penalty's gradient moves weights to and fro across zero;
    this ends on it. Do not use both. How t relates to the optimizer, what a schedule needs, gradient accumulation and
    saved files are as in `ProximalGroupLasso`.

    Args:
        strength: factor of the penalty Σ |w| that this is the proximal step of, >= 0.
        learning_rate: of the optimizer that trains the weight: a number >= 0, or the optimizer itself, whose rate is
            then read at each step, schedules included.
    Raises:
        ValueError: for a negative or infinite strength or learning rate.
    Returns (call):
        Tensor like the weight; computed in float32 at least.
    Source: Daubechies, Defrise and De Mol 2004, doi:10.1002/cpa.20042.

    >>> keras.ops.convert_to_numpy(ProximalL1(1.0, learning_rate=0.5)(np.array([2.0, -0.25]))).tolist()
    [1.5, 0.0]
    """

    def __init__(self, strength: float = 0.01, learning_rate: float | keras.Optimizer = 0.01) -> None:
        self.strength = check.strength("strength", strength)
        self.learning_rate = check_learning_rate(learning_rate)

    def __call__(self, w: Any) -> Any:
        """The weight after the proximal step."""
        return soft_threshold(w, threshold(self.strength, self.learning_rate))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, the learning rate as a number."""
        return {"strength": self.strength, "learning_rate": learning_rate_number(self.learning_rate)}
