"""Which rule is for which layer: composites, and those of the literature by name."""

import fnmatch
from dataclasses import dataclass
from typing import Any

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.core.value import Value
from keras_arch.explain.relevance.rules import (
    AlphaBetaRule,
    EpsilonRule,
    FlatRule,
    GammaRule,
    Rule,
    ZBoxRule,
)

_PLAIN = EpsilonRule()


@register
@dataclass(frozen=True)
class Composite(Value):
    """A rule for each layer that has a kernel. The first that fits is taken: by path, by position, by kind.

    Args:
        paths: pairs (pattern, rule), in order; a pattern is matched with a layer's path as a shell does ("block1_*",
            "backbone/*/attention/*").
        input: rule of layers that see the model's input, apart from layers that only move or rescale its numbers, such
            as `ZeroPadding2D` and `Rescaling`; None for none of its own.
        convolution: rule of convolutions.
        dense: rule of all others: `Dense`, `EinsumDense`, and what else has a kernel.
    Raises:
        ValueError: for what is no rule, or a rule for the input in another place.

    >>> composite = ka.explain.Composite(convolution=ka.explain.GammaRule(0.25))
    >>> composite.rule_for("block1_conv1", is_convolution=True, sees_input=False)
    GammaRule(gamma=0.25, bias='rule')
    """

    paths: tuple = ()
    input: Rule | None = None
    convolution: Rule = _PLAIN
    dense: Rule = _PLAIN

    def __post_init__(self) -> None:
        pairs = self.paths.items() if isinstance(self.paths, dict) else self.paths
        object.__setattr__(self, "paths", tuple((pattern, rule) for pattern, rule in pairs))
        inner = {"convolution": self.convolution, "dense": self.dense}
        inner.update({f"paths[{pattern!r}]": rule for pattern, rule in self.paths})
        for name, rule in {**inner, **({} if self.input is None else {"input": self.input})}.items():
            if not isinstance(rule, Rule):
                raise check.refuse(name, "must be a rule", rule, "Pass for example EpsilonRule().")
            if rule.needs_input and name != "input":
                advice = "Pass it as Composite(input=...)."
                raise check.refuse(name, "must not be a rule that looks at the model's input itself", rule, advice)

    def rule_for(self, path: str, *, is_convolution: bool, sees_input: bool) -> Rule:
        """The rule of one layer.

        Args:
            path: of the layer in the model, "block1_conv1".
            is_convolution: whether it slides over positions.
            sees_input: whether what it gets is the model's input.
        """
        for pattern, rule in self.paths:
            if fnmatch.fnmatchcase(path, pattern):
                return rule
        if sees_input and self.input is not None:
            return self.input
        return self.convolution if is_convolution else self.dense


def preset(name: str, epsilon: float, gamma: float, alpha: float, beta: float, low: Any, high: Any) -> Composite:
    """The rules behind a name.

    Args:
        name: one of `PRESETS`.
        epsilon: of `EpsilonRule`.
        gamma: of `GammaRule`.
        alpha: of `AlphaBetaRule` where the name has no numbers of its own.
        beta: likewise.
        low: least value of the input, for "epsilon_gamma_box".
        high: largest value of the input, likewise.
    Raises:
        ValueError: for an unknown name, or missing bounds.
    """
    check.one_of("rule", name, PRESETS)
    plain = EpsilonRule(epsilon)
    if name in ("gamma", "alpha_beta"):
        everywhere = GammaRule(gamma) if name == "gamma" else AlphaBetaRule(alpha, beta)
        return Composite(convolution=everywhere, dense=everywhere)
    if name == "epsilon_gamma_box":
        for argument, value in (("low", low), ("high", high)):
            if value is None:
                advice = "Pass for example low=0.0, high=255.0."
                raise check.refuse(argument, "must be a bound of the input for 'epsilon_gamma_box'", value, advice)
        return Composite(input=ZBoxRule(low, high), convolution=GammaRule(gamma), dense=plain)
    convolution = {"epsilon": plain, "epsilon_gamma": GammaRule(gamma), "epsilon_plus": AlphaBetaRule(1, 0)}.get(
        name.removesuffix("_flat"), AlphaBetaRule(2, 1)
    )
    return Composite(input=FlatRule() if name.endswith("_flat") else None, convolution=convolution, dense=plain)


# Each name with the settings that it reads.
READS = {
    "epsilon": {"epsilon"},
    "gamma": {"gamma"},
    "alpha_beta": {"alpha", "beta"},
    "epsilon_gamma": {"epsilon", "gamma"},
    "epsilon_gamma_box": {"epsilon", "gamma", "low", "high"},
    "epsilon_plus": {"epsilon"},
    "epsilon_plus_flat": {"epsilon"},
    "epsilon_alpha2_beta1": {"epsilon"},
    "epsilon_alpha2_beta1_flat": {"epsilon"},
}
PRESETS = tuple(READS)
