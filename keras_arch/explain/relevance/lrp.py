"""Layer-wise relevance propagation."""

import dataclasses
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_arch.core import check, walk
from keras_arch.core.registration import register
from keras_arch.explain import place, target
from keras_arch.explain.method import Method, warn_if_flat
from keras_arch.explain.relevance.backward import Backward
from keras_arch.explain.relevance.composite import PRESETS, READS, Composite, preset
from keras_arch.explain.relevance.products import ATTENTIONS
from keras_arch.explain.relevance.rules import Rule
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe

# Share of what flows that rounding may lose; an operation without a rule loses far more.
_TOLERANCE = {"float32": 2e-3, "float16": 5e-2, "bfloat16": 1e-1}


SETTINGS = set().union(*READS.values())


@register
@dataclass(frozen=True, eq=False, repr=False)
class LRP(Method):
    """The score, handed back layer by layer: each unit shares its relevance among its inputs by what they added to it.

    R_i = Σ_j (x_i w_ij / z_j) R_j,  z_j = Σ_i x_i w_ij + b_j: the rule LRP-0, of which the others are variants.
    Σ_i R_i + (what biases and ε absorb) = F, and delta = Σ_i R_i - F, minus that.

    x: what a layer gets.   w, b: its kernel and bias.   R: relevance.   F: the score that the target selects.

    One pass forward and one back, on any backend. How relevance goes through layers:

    - `Dense`, `EinsumDense`, convolutions of all kinds, and whatever else has a `kernel`: by `rule`.
    - batch normalization: directly after a layer with a kernel and no activation it is merged into that layer, else it
      is an affine layer of its own by LRP-0.
    - activations: unchanged. Layers that add, join, move, pool or resize: in proportion; max pooling: to the largest.
    - layer, group and RMS normalization: the scale is a constant.
    - attention: the weights are constants, relevance goes to the values; or `attention="attnlrp"`.
    - products: what gates (an LSTM's or GRU's gates, squeeze-and-excite) is a constant, equals get half each.
    - recurrent layers: their sums by LRP-0.

    Biases absorb relevance as in the formula, unless a rule is given with `bias="none"`. Other operations are not
    passed over: the sum above is checked, and where it fails an error names them (on JAX and PyTorch, a warning).

    `output="logits"` starts at the logit, in its unit. With "model" and a softmax at the end relevance is the
    probability, handed to its own logit unchanged: the same map up to a factor, without the other classes.

    Args:
        rule: "epsilon", "gamma" or "alpha_beta" for all layers; "epsilon_gamma" (gamma for convolutions, epsilon for
            others), "epsilon_gamma_box" (and zB at the input), "epsilon_plus" (z⁺ for convolutions),
            "epsilon_plus_flat" (and flat at the input), "epsilon_alpha2_beta1", "epsilon_alpha2_beta1_flat"; a rule,
            such as `EpsilonRule(0.1)`; or a `Composite`, which gives each layer its own.
        epsilon: ε >= 0 of named rules, in units of the sum z.
        gamma: γ >= 0 of named rules.
        alpha: α >= 1 of "alpha_beta".
        beta: β = α - 1 of "alpha_beta".
        low: least value of the input for "epsilon_gamma_box": a number, or one per channel.
        high: largest value, likewise.
        attention: "constant", or "attnlrp": relevance also goes through the softmax to queries and keys, half at each
            product; what the softmax absorbs is not counted, so the sum is not checked.
        layer: name, path or object of a layer whose output gets the relevance in the input's place; "encoder:1" is
            the second call of a shared layer, and over all calls the values are summed. None: the input itself, or
            for token ids the model's embedding layer.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, if the model has operations without a rule, or
            token ids and not one embedding layer.
    Source: Bach et al. 2015, doi:10.1371/journal.pone.0130140; composites: Montavon et al. 2019,
    doi:10.1007/978-3-030-28954-6_10, and Kohlbrenner et al. 2020, arXiv:1910.09840; transformers: Ali et al. 2022,
    arXiv:2202.07304, and Achtibat et al. 2024, arXiv:2402.05602.

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.LRP().explain(model, [[1.0, 2.0, 4.0]])
    >>> attribution.values.round(4).tolist(), attribution.scores.tolist()
    ([[1.0, 2.0, 4.0]], [7.0])
    """

    rule: Any = "epsilon"
    epsilon: float = 1e-6
    gamma: float = 0.25
    alpha: float = 2.0
    beta: float = 1.0
    low: Any = None
    high: Any = None
    attention: str = "constant"
    layer: Any = None

    def __post_init__(self) -> None:
        check.one_of("attention", self.attention, ATTENTIONS)
        self.composite()
        read = READS[self.rule] if isinstance(self.rule, str) else set()
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            if part.name in SETTINGS - read and value is not part.default and value != part.default:
                rule = f"must be left out, because the rule {self.rule!r} does not read it"
                raise check.refuse(part.name, rule, value, "Put it into the rule, or choose a name that reads it.")

    def composite(self) -> Composite:
        """Which rule each layer gets.

        >>> ka.explain.LRP("gamma", gamma=0.5).composite().dense
        GammaRule(gamma=0.5, bias='rule')
        """
        if isinstance(self.rule, Composite):
            return self.rule
        if isinstance(self.rule, Rule):
            return Composite(convolution=self.rule, dense=self.rule)
        if not isinstance(self.rule, str):
            advice = f"Pass one of {', '.join(PRESETS)}."
            raise check.refuse("rule", "must be a name, a rule or a Composite", self.rule, advice)
        return preset(self.rule, self.epsilon, self.gamma, self.alpha, self.beta, self.low, self.high)

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        probe, path = place.look(probe, inputs, self.layer)
        kind = Backward(self.composite(), self.attention)
        relevance, predictions, scores, gaps = _collected(probe, kind, inputs, selections)
        warn_if_flat(relevance, f"layer {path!r}" if path else "the inputs")
        if self.attention == "constant" and not any(part.kind == "function" for part in selections):
            self._check(probe, inputs, selections, gaps)
        leaves = keras.tree.flatten(relevance)
        totals = sum(leaf.reshape(len(leaf), -1).sum(1, dtype="float64") for leaf in leaves)
        return {
            "values": place.merge_calls(relevance) if path else relevance,
            "target": target.record(target.settle(selections, predictions)),
            "predictions": predictions,
            "scores": scores,
            "baseline_scores": np.zeros_like(scores),
            "convergence_delta": (totals - scores).astype("float32"),
            "layer": path,
        }

    def _check(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...], gaps: np.ndarray) -> None:
        """Raise or warn if the sum of the relevance fails, other than by constants that are added outside of layers."""
        dtypes = {"float32", *(layer.compute_dtype for _, layer in walk.walk(probe.model))}
        worst = float(gaps.max())
        if worst <= max(_TOLERANCE.get(dtype, 0.0) for dtype in dtypes):
            return
        if keras.backend.backend() == "tensorflow":
            one = keras.tree.map_structure(lambda leaf: leaf[:1], inputs)
            kind = Backward(self.composite(), self.attention, examine=True)
            first = tuple(replace(part, value=None if part.value is None else part.value[:1]) for part in selections)
            _collected(probe, kind, one, first)
            return
        if probe.taps:  # relevance may rightly pass a layer by
            return
        warnings.warn(
            f"{worst:.1%} of the relevance is neither in the values nor absorbed by biases. Constants that are added "
            "outside of layers absorb it rightly, operations without a rule (nonlinear ones outside of Keras's layers) "
            "wrongly; KERAS_BACKEND=tensorflow names them.",
            stacklevel=4,
        )


def _collected(probe: "Probe", kind: Backward, inputs: Any, selections: tuple[Selection, ...]) -> tuple:
    """Relevance, outputs, scores and gaps of all samples, float32 arrays."""
    parts = [results for _, results in probe.each(kind, selections, inputs)]
    arrays = [keras.tree.map_structure(keras.ops.convert_to_numpy, part) for part in parts]
    return keras.tree.map_structure(lambda *leaves: np.concatenate(leaves), *arrays)
