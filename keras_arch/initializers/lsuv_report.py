"""What layer-sequential unit-variance initialization did to a model, in numbers."""

import dataclasses

from keras_arch.core.table import table


@dataclasses.dataclass(frozen=True)
class LayerVariance:
    """One layer of an `LSUVReport`.

    Args:
        path: path of the layer, as `core.walk` spells it.
        before: variance of what the layer computed before its activation, in the model as it was given; NaN if it was
            not measured.
        after: the same in the model as it is now; NaN if it was not measured.
        iterations: how often the kernel was scaled.
        note: why the kernel was left as it was, or why it did not reach unit variance; empty otherwise.

    >>> from keras_arch.initializers.lsuv_report import LayerVariance
    >>> LayerVariance("dense", 4.0, 1.0, 1).note
    ''
    """

    path: str
    before: float
    after: float
    iterations: int
    note: str = ""


@dataclasses.dataclass(frozen=True, repr=False)
class LSUVReport:
    """Variances of each layer before and after `lsuv`, in the order in which layers run.

    Args:
        layers: one row for each layer with a trainable kernel.
        tolerance: how far from 1 a variance might stay.

    >>> from keras_arch.initializers.lsuv_report import LayerVariance, LSUVReport
    >>> LSUVReport((LayerVariance("dense", 4.0, 1.0, 1),), tolerance=0.1)
    layer  variance before   after  scaled
    dense                4  1.0000       1
    """

    layers: tuple[LayerVariance, ...]
    tolerance: float

    @property
    def converged(self) -> bool:
        """Whether every layer has unit variance, but for those that were left as they were."""
        return all(abs(row.after - 1) <= self.tolerance for row in self.layers if row.iterations or not row.note)

    def __repr__(self) -> str:
        rows = [("layer", "variance before", "after", "scaled", "")]
        rows += [
            (row.path, f"{row.before:.4g}", f"{row.after:.4f}", str(row.iterations), row.note) for row in self.layers
        ]
        return table(rows, right=(1, 2, 3))
