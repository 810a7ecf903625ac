"""The absolute value of a weight."""

import dataclasses
from typing import Any, Self

from keras import ops

from keras_arch.core.registration import register


@register
@dataclasses.dataclass(frozen=True)
class Magnitude:
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

    def get_config(self) -> dict[str, Any]:
        """No arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the criterion from `get_config`."""
        return cls(**config)
