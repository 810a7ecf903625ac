"""What shrinking removes from a model, in numbers."""

import dataclasses

from keras_arch.core.table import table


@dataclasses.dataclass(frozen=True)
class ShrunkLayer:
    """One dense or convolutional layer of a `ShrinkReport`.

    Args:
        name: of the layer.
        channels: filters or units it has.
        left: how many of them stay.
        constant: how many stay although they send out a constant: something that reads them sees padded borders or
            cannot be traced, or they are outputs, or the last of their layer.

    >>> ka.compression.ShrunkLayer("conv", 8, 3, 0).removed
    5
    """

    name: str
    channels: int
    left: int
    constant: int

    @property
    def removed(self) -> int:
        """Filters or units that go."""
        return self.channels - self.left


@dataclasses.dataclass(frozen=True)
class ShrinkReport:
    """What `shrink` removes from a model, and what it has to keep.

    Args:
        layers: one row for each layer that has filters or units of its own and can be cut.
        untraced: (name, reason) of each layer whose input and output channels all stay, because nothing is known of
            how it treats them.
        parameters: numbers in all weights of the model.
        parameters_left: numbers in all weights of the smaller model.

    >>> report = ka.compression.ShrinkReport((ka.compression.ShrunkLayer("conv", 8, 3, 0),), (), 80, 30)
    >>> print(report)
    layer  channels  left  constant
    conv          8     3         0
    80 parameters, 30 left
    """

    layers: tuple[ShrunkLayer, ...]
    untraced: tuple[tuple[str, str], ...]
    parameters: int
    parameters_left: int

    def __str__(self) -> str:
        rows = [("layer", "channels", "left", "constant")]
        rows += [(row.name, str(row.channels), str(row.left), str(row.constant)) for row in self.layers]
        lines = [table(rows, right=(1, 2, 3))]
        lines += [f"{name} is kept: {reason}" for name, reason in self.untraced]
        lines.append(f"{self.parameters:,} parameters, {self.parameters_left:,} left")
        return "\n".join(lines)
