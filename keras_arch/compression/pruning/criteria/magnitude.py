"""The absolute value of a weight."""

import dataclasses
from typing import Any

from keras import ops

from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class Magnitude(Value):
    """A weight matters as much as it is far from zero.

    score = |w|

    Source: Han et al. 2015, arXiv:1506.02626.

    >>> criterion = ka.compression.pruning.criteria.Magnitude()
    >>> keras.ops.convert_to_numpy(criterion(np.array([-2.0, 0.5], "float32"))).tolist()
    [2.0, 0.5]
    """

    def __call__(self, variable: Any) -> Any:
        """Scores of the shape of `variable`; the smallest are pruned."""
        return ops.abs(variable)
