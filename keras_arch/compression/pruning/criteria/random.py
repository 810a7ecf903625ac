"""A draw of lots."""

import dataclasses
import zlib
from typing import Any

import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class Random(Value):
    """A weight matters as much as a lot that is drawn for it once: what any other criterion has to beat.

    score ~ uniform on [0, 1), the same at every call for the same seed and path of the variable, so that what goes
    first stays gone as the sparsity grows.

    Args:
        seed: int >= 0; another draws other lots.
    Raises:
        ValueError: if the seed is not such a number.

    >>> criterion = ka.compression.pruning.criteria.Random(seed=3)
    >>> weight = keras.Variable([1.0, 2.0, 3.0])
    >>> bool((criterion(weight) == criterion(weight)).all())
    True
    """

    seed: int = 0

    def __post_init__(self) -> None:
        check.integer("seed", self.seed, minimum=0)

    def __call__(self, variable: Any) -> Any:
        """Scores of the shape of `variable`, a float32 array; the smallest are pruned."""
        lots = np.random.default_rng([self.seed, zlib.crc32(variable.path.encode())])
        return lots.random(tuple(variable.shape), "float32")
