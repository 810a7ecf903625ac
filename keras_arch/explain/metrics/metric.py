"""What every measure of quality shares: it is a value, and model and attribution come at the call."""

from typing import Any, ClassVar

from keras_arch.core.check import refuse
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.metrics.measurement import Measurement
from keras_arch.explain.metrics.subject import Subject
from keras_arch.explain.setting import Setting


class Metric(Setting):
    """Base of the measures: a frozen value that can be printed, compared, stored, and asked to judge an attribution.

    A subclass is a registered frozen dataclass (`eq=False, repr=False`, so that these come from here) whose fields are
    its settings. It defines `compute`, `direction` and `range`.

    Attributes:
        direction: "higher" or "lower", which values are better.
        range: smallest and largest value there can be.

    >>> metric = ka.explain.metrics.Deletion(steps=8)
    >>> metric
    Deletion(steps=8)
    >>> metric == ka.explain.metrics.Deletion(steps=8), metric.direction
    (True, 'lower')
    """

    direction: ClassVar[str]
    range: ClassVar[tuple[float, float]]

    def measure(
        self,
        model: Any,
        attribution: Attribution,
        *,
        target: Any = None,
        output: str | None = None,
        batch_size: int = 32,
        verbose: bool = False,
    ) -> Measurement:
        """Judge an attribution.

        Args:
            model: the Keras model that was explained. Its weights are read, never changed. Measures that look at the
                values only don't read it.
            attribution: what a method returned, or one that holds values of your own.
            target: what is scored, as in `Method.explain`; None takes what the attribution was made for. Needed where
                that was a function, of which an attribution knows only the name.
            output: which numbers are scored: "model", "logits" or "probabilities", as in `Method.explain`; None takes
                those that the attribution was made for.
            batch_size: samples, or changed versions of samples, per compiled call.
            verbose: whether long work shows a progress bar.
        Returns:
            A `Measurement`.
        Raises:
            ValueError: if the attribution does not fit the model or this measure.

        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 3.0]])
        >>> ka.explain.metrics.Deletion().measure(model, attribution).curves.tolist()
        [[4.0, 1.0, 0.0]]
        """
        if not isinstance(attribution, Attribution):
            advice = "Pass what method.explain(model, x) returned."
            raise refuse("attribution", "must be a keras_arch.explain.Attribution", attribution, advice)
        output = attribution.output if output is None else output
        subject = Subject(model, attribution, target, output, batch_size, verbose)
        return Measurement(
            **{"metric": self, "direction": self.direction, "range": self.range, **self.compute(subject)}
        )

    def compute(self, subject: Subject) -> dict[str, Any]:
        """Compute the fields of the `Measurement` that this measure knows; for subclasses to define.

        Args:
            subject: model and attribution, checked as far as they are read.
        """
        raise NotImplementedError(f"{type(self).__module__}.{type(self).__qualname__} must define compute().")
