"""What is known of each channel of a tensor, and which channels can only be removed together."""

import dataclasses

import numpy as np


class UntraceableError(Exception):
    """Raised by a rule that cannot follow channels through a layer; the message is the reason, for the report."""


@dataclasses.dataclass(frozen=True)
class Channels:
    """The last axis of one tensor.

    Args:
        units: int array (C,), the removable unit that each channel belongs to; flattened channels repeat theirs.
        values: float64 array (C,), the number that a channel is at every position of every inference, NaN if it varies.

    >>> from keras_arch.compression.pruning.shrinking.channels import Channels
    >>> Channels(np.array([0, 1]), np.array([np.nan, 0.0])).constant.tolist()
    [False, True]
    """

    units: np.ndarray
    values: np.ndarray

    @property
    def size(self) -> int:
        """C, the number of channels."""
        return len(self.units)

    @property
    def constant(self) -> np.ndarray:
        """Bool array (C,): which channels never vary."""
        return np.isfinite(self.values)


def varying(units: np.ndarray) -> Channels:
    """Channels of which no value is known.

    >>> from keras_arch.compression.pruning.shrinking.channels import varying
    >>> varying(np.arange(3)).constant.any()
    np.False_
    """
    return Channels(units, np.full(len(units), np.nan))


class Units:
    """Channels of all tensors, joined where one cannot go without the other, and fixed where none may go.

    >>> from keras_arch.compression.pruning.shrinking.channels import Units
    >>> units = Units()
    >>> left, right = units.new(2), units.new(2)
    >>> units.join(left, right)
    >>> units.fix(right[1:], "the output of the model")
    >>> units.roots(left).tolist() == units.roots(right).tolist(), units.fixed(left).tolist()
    (True, [False, True])
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._reasons: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._parents)

    def new(self, count: int) -> np.ndarray:
        """Make units that are joined to nothing: int array (count,)."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def join(self, left: np.ndarray, right: np.ndarray) -> None:
        """Bind units in pairs: from now on one goes only with the other."""
        for one, other in zip(left, right, strict=True):
            one, other = self._root(one), self._root(other)
            if one != other:
                self._parents[max(one, other)] = min(one, other)
                if max(one, other) in self._reasons:
                    self._reasons.setdefault(min(one, other), self._reasons[max(one, other)])

    def fix(self, units: np.ndarray, reason: str) -> None:
        """Forbid that units are removed; the first reason stays."""
        for unit in np.unique(units):
            self._reasons.setdefault(self._root(unit), reason)

    def reason(self, unit: int) -> str | None:
        """Why a unit is fixed; None if it is not."""
        return self._reasons.get(self._root(unit))

    def fixed(self, units: np.ndarray) -> np.ndarray:
        """Bool array: which units are fixed."""
        return np.isin(self.roots(units), list(self._reasons))

    def roots(self, units: np.ndarray) -> np.ndarray:
        """One representative for all units that are joined."""
        return np.fromiter((self._root(unit) for unit in units), dtype=np.int64, count=len(units))

    def _root(self, unit: int) -> int:
        unit = int(unit)
        while self._parents[unit] != unit:
            self._parents[unit] = self._parents[self._parents[unit]]
            unit = self._parents[unit]
        return unit
