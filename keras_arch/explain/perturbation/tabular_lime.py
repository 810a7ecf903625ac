"""LIME for tables: a linear model of the score over columns that vary as they do in the training data."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain import target
from keras_arch.explain.method import Method
from keras_arch.explain.target import Selection
from keras_arch.ops.surrogate import proximity, weighted_r2, weighted_ridge

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class TabularLIME(Method):
    """Coefficients of a weighted ridge regression of the score near a row of a table.

    Without bins each column varies as a normal variable with the mean and deviation it has in the training data, and
    the regression is on the columns in units of their deviation: c_i is the change of the score per deviation.
    With bins each column takes values of the training data, and the regression is on whether a column's value falls
    into the same bin as the sample's: c_i is what it brings to the score that the column is in that bin.

    Rows count by exp(-d² / 2 width²), d: Euclidean distance from the sample in those terms. The result's `details` hold
    (N,) "intercept", "local_prediction" and "fidelity", the weighted R² of the regression.

    Args:
        training_data: (rows, F), what columns vary like; it is stored with the method.   F: columns.
        samples: rows drawn, >= 2; the same draws for all samples.
        bins: None, or the number of bins of equally many training rows, >= 2; 4 are quartiles.
        around_sample: whether normal variables have the sample's value as their mean; only without bins.
        kernel_width: > 0; None: 0.75 · √F.
        ridge: penalty of the squared coefficients, >= 0.
        seed: of the draws.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, the model's input is not one table of F columns.
    Source: Ribeiro, Singh and Guestrin 2016, arXiv:1602.04938, and LimeTabularExplainer of the authors' package lime
    (`discretize_continuous=False`, and True with bins). All columns are kept in the fit; values in bins are the
    training data's own, not draws of a truncated normal variable.

    >>> data = np.random.default_rng(0).normal(size=(100, 2)) * [1.0, 10.0]
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = TabularLIME(data, samples=200, ridge=0.0).explain(model, [[1.0, 1.0]])
    >>> bool(np.allclose(attribution.values, data.std(0), rtol=1e-3))
    True
    """

    training_data: Any
    samples: int = 5000
    bins: int | None = None
    around_sample: bool = False
    kernel_width: float | None = None
    ridge: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        data = np.asarray(self.training_data, "float64")
        if data.ndim != 2 or data.size == 0 or not np.isfinite(data).all():
            raise ValueError(
                "training_data must be a table (rows, columns) of finite numbers with at least one row; received shape "
                f"{data.shape}. Pass for example x_train, and replace or drop rows with NaN."
            )
        object.__setattr__(self, "training_data", data.astype("float32"))
        check.integer("samples", self.samples, minimum=2)
        if self.bins is not None:
            check.integer("bins", self.bins, minimum=2)
            if self.around_sample:
                advice = "Choose one of them."
                raise check.refuse("around_sample", "must be False with bins", self.around_sample, advice)
        if self.kernel_width is not None:
            width = {"minimum": 0, "maximum": math.inf, "open_minimum": True, "open_maximum": True}
            check.real("kernel_width", self.kernel_width, **width)
        check.strength("ridge", self.ridge)
        check.integer("seed", self.seed, minimum=0)

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        columns = self.training_data.shape[1]
        if not isinstance(inputs, np.ndarray) or inputs.shape[1:] != (columns,) or inputs.dtype.kind != "f":
            raise ValueError(
                f"x must be one table of floats with the {columns} columns of training_data; received "
                f"{_shown(inputs)}. For images, texts and several inputs use LIME."
            )
        predictions, scores = probe.predict(inputs, selections)
        selections = target.settle(selections, predictions)
        draws = self._draws()

        def arguments(samples: np.ndarray, versions: np.ndarray) -> tuple:
            return (self._rows(inputs[samples], draws[1 + versions]),)

        found = probe.variants(inputs, selections, instead, self.samples - 1, arguments)
        outcomes = np.concatenate([scores[:, None], found], axis=1)
        values, intercept, fidelity, prediction = np.zeros_like(inputs), *np.zeros((3, len(scores)), "float32")
        for row, own in enumerate(outcomes):
            design, weights = self.regressors(inputs[row], draws)
            fit = weighted_ridge(design, own, weights, self.ridge)
            values[row], intercept[row] = fit
            fidelity[row] = weighted_r2(design, own, weights, *fit)
            prediction[row] = fit[1] + design[0] @ fit[0]
        return {
            "values": values,
            "target": target.record(selections),
            "predictions": predictions,
            "scores": scores,
            "details": {"intercept": intercept, "local_prediction": prediction, "fidelity": fidelity},
        }

    def rows(self, sample: np.ndarray) -> np.ndarray:
        """The rows that are tried for a sample (F,): float32 (samples, F), the sample first."""
        return np.concatenate([sample[None], self._rows(sample[None], self._draws()[1:])]).astype("float32")

    def regressors(self, sample: np.ndarray, draws: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What the regression for a sample (F,) is on, (samples, F), and how much each row counts, (samples,)."""
        draws = self._draws() if draws is None else draws
        width = 0.75 * math.sqrt(len(sample)) if self.kernel_width is None else self.kernel_width
        rows = np.concatenate([sample[None], self._rows(sample[None], draws[1:])]).astype("float32")
        if self.bins is not None:
            same = self._bin(rows) == self._bin(sample[None])
            return same.astype("float64"), proximity(same, "euclidean", width)
        mean, deviation = self._statistics()
        scaled = (rows - mean) / deviation
        away = ((scaled - scaled[:1]) ** 2).sum(1)
        return scaled, np.exp(-away / (2 * width**2))

    def _draws(self) -> np.ndarray:
        """(samples, F) normal draws, or values of the training data; the first row is not used."""
        generator = np.random.default_rng(self.seed)
        rows, columns = self.training_data.shape
        if self.bins is None:
            return generator.normal(size=(self.samples, columns))
        return self.training_data[generator.integers(0, rows, (self.samples, columns)), np.arange(columns)]

    def _rows(self, samples: np.ndarray, draws: np.ndarray) -> np.ndarray:
        if self.bins is not None:
            return draws
        mean, deviation = self._statistics()
        return ((samples if self.around_sample else mean) + deviation * draws).astype("float32")

    def _statistics(self) -> tuple[np.ndarray, np.ndarray]:
        mean, deviation = self.training_data.mean(0, dtype="float64"), self.training_data.std(0, dtype="float64")
        return mean, np.where(deviation > 0, deviation, 1.0)

    def _bin(self, rows: np.ndarray) -> np.ndarray:
        edges = np.quantile(self.training_data, np.arange(1, self.bins) / self.bins, axis=0)  # (bins - 1, F)
        return (rows[:, None] > edges).sum(1)


def instead(inputs: Any, rows: Any) -> Any:
    """The rows, in the place of the inputs.

    >>> instead(np.zeros((1, 2)), np.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """
    return rows


def _shown(inputs: Any) -> str:
    return f"{inputs.dtype} of shape {inputs.shape}" if isinstance(inputs, np.ndarray) else check.describe(type(inputs))
