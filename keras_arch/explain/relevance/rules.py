"""How one layer hands its relevance on to its inputs: the rules of layer-wise relevance propagation.

A layer computes z_j = Σ_i x_i w_ij + b_j and has relevance R_j at its output. A rule is written as a function
`part(x)` that is linear in x where it is evaluated, such that R_i = x_i · Σ_j (∂part_j / ∂x_i) · R_j / z_j: with it in
the place of z, the plain gradient of a score, times the input, is the relevance of the rule. What z has more than
`part`, the share of the bias and of ε, goes to no input.

Sources: Bach et al. 2015, doi:10.1371/journal.pone.0130140 (ε, αβ); Montavon et al. 2017, arXiv:1512.02479 (w², zB);
Lapuschkin et al. 2019, doi:10.1038/s41467-019-08987-4 (flat); Montavon et al. 2019,
doi:10.1007/978-3-030-28954-6_10 (γ); Andéol et al. 2021, arXiv:2106.04383 (γ for any sign).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.core.value import Value
from keras_arch.explain.relevance.linear_map import LinearMap
from keras_arch.explain.relevance.origin import Origin

BIASES = ("rule", "whole", "none")
# What keeps a denominator from zero in the rules without an epsilon of their own, as in Captum.
TINY = 1e-9


class Rule(Value):
    """Base of the rules: frozen values.

    >>> EpsilonRule(0.1) == EpsilonRule(0.1), GammaRule().needs_input
    (True, False)
    """

    needs_input: ClassVar[bool] = False

    def part(self, linear: LinearMap, x: Any, z: Any) -> Any:
        """The part of z that the inputs answer for, homogeneous of degree one in x; its value need not be z.

        Args:
            linear: the layer.
            x: its input; for a rule with `needs_input` an `Origin`, whose `share` stands in the place of x.
            z: its output without activation, no gradient flows through it.
        """
        raise NotImplementedError(f"{type(self).__module__}.{type(self).__qualname__} must define part().")


@register
@dataclass(frozen=True)
class EpsilonRule(Rule):
    """R_i = x_i Σ_j w_ij R_j / (z_j + ε sign z_j): each input gets what it added to the sum.

    Args:
        epsilon: ε >= 0, in units of z; the larger, the fewer contradicting details, and the more relevance is absorbed.
        bias: "rule" or "whole": z has the bias, which so absorbs its share; "none": z without it, which conserves.
    Source: Bach et al. 2015, equation 58. ε = 0 is the rule LRP-0.

    >>> ka.explain.EpsilonRule(0.25)
    EpsilonRule(epsilon=0.25, bias='rule')
    """

    epsilon: float = 1e-6
    bias: str = "rule"

    def __post_init__(self) -> None:
        check.strength("epsilon", self.epsilon)
        check.one_of("bias", self.bias, BIASES)

    def part(self, linear: LinearMap, x: Any, z: Any) -> Any:
        """See `Rule.part`."""
        total = linear.total()
        if self.bias == "none":
            return total * _ratio(z, total, self.epsilon)
        size = ops.abs(z)  # z / (z + ε sign z) in fewer steps
        return total * ops.stop_gradient(size / (size + max(self.epsilon, 1e-30)))


@register
@dataclass(frozen=True)
class GammaRule(Rule):
    """R_i = Σ_j (x_i w_ij + γ (x_i w_ij)⁺) R_j / (z_j + γ Σ_i (x_i w_ij)⁺ + γ b_j⁺) where z_j > 0; where z_j < 0 with ⁻
    in the place of ⁺: inputs that agree with the output count more.

    For inputs >= 0 and z > 0, as between ReLUs, these are the formulas of 2019, with w⁺ in the place of (x w)⁺.

    Args:
        gamma: γ >= 0; 0 is the rule LRP-0, infinity would be z⁺.
        bias: "rule": as above, the bias counts as a weight; "whole": b_j alone, as in Captum; "none": it has no part.
    Source: Montavon et al. 2019, section 10.2.1; for any sign Andéol et al. 2021.

    >>> ka.explain.GammaRule(gamma=0.5).bias
    'rule'
    """

    gamma: float = 0.25
    bias: str = "rule"

    def __post_init__(self) -> None:
        check.strength("gamma", self.gamma)
        check.one_of("bias", self.bias, BIASES)

    def part(self, linear: LinearMap, x: Any, z: Any) -> Any:
        """See `Rule.part`."""
        total, size = linear.total(), linear.absolute(ops.abs(x))  # sums of x w and of |x w|
        rising, falling = (total + size) / 2, (total - size) / 2
        up, down = total + self.gamma * rising, total + self.gamma * falling
        b = ops.stop_gradient(z - total)
        above = up + _counted(b, b + self.gamma * ops.maximum(b, 0), self.bias)
        below = down + _counted(b, b + self.gamma * ops.minimum(b, 0), self.bias)
        return ops.where(z > 0, up * _ratio(z, above), down * _ratio(z, below))


@register
@dataclass(frozen=True)
class AlphaBetaRule(Rule):
    """R_i = Σ_j (α (x_i w_ij)⁺ / z_j⁺ - β (x_i w_ij)⁻ / z_j⁻) R_j,  α - β = 1.

    z_j⁺ = Σ_i (x_i w_ij)⁺ + b_j⁺, z_j⁻ likewise: what speaks for and against is handed on apart. α = 1, β = 0 is the
    rule z⁺. Where nothing speaks against, β R_j goes nowhere: the sum grows by it.

    Args:
        alpha: α >= 1.
        beta: β = α - 1.
        bias: "rule": as above; "none": left out of both sums, which conserves; "whole", only with β = 0: all of b_j
            in z_j⁺, as in Captum.
    Source: Bach et al. 2015, equation 60.

    >>> ka.explain.AlphaBetaRule(alpha=1, beta=0)
    AlphaBetaRule(alpha=1, beta=0, bias='rule')
    """

    alpha: float = 2.0
    beta: float = 1.0
    bias: str = "rule"

    def __post_init__(self) -> None:
        check.real("alpha", self.alpha, minimum=1, maximum=float("inf"), open_maximum=True)
        check.strength("beta", self.beta)
        check.one_of("bias", self.bias, BIASES)
        if abs(self.alpha - self.beta - 1) > 1e-9:
            raise check.refuse(
                "beta", f"must be alpha - 1, here {self.alpha - 1:g}, to conserve", self.beta, "Change one of the two."
            )
        if self.bias == "whole" and self.beta:
            advice = "Use bias='rule' or bias='none'."
            raise check.refuse("bias", "can be 'whole' for beta=0 only, which has one denominator", self.bias, advice)

    def part(self, linear: LinearMap, x: Any, z: Any) -> Any:
        """See `Rule.part`."""
        above, below = ops.maximum(x, 0), ops.minimum(x, 0)
        b = ops.stop_gradient(z - linear.total())
        rising = linear.positive(above) + linear.negative(below)
        found = self.alpha * rising * _ratio(z, rising + _counted(b, ops.maximum(b, 0), self.bias))
        if not self.beta:
            return found
        falling = linear.negative(above) + linear.positive(below)
        return found - self.beta * falling * _ratio(z, falling + _counted(b, ops.minimum(b, 0), self.bias))


@register
@dataclass(frozen=True)
class FlatRule(Rule):
    """R_i = Σ_j R_j / n_j: all n_j inputs of an output get the same. For layers that see the model's input.

    Source: Lapuschkin et al. 2019. Zeros that a convolution or a layer pads with are no inputs; the bias absorbs none.

    >>> ka.explain.FlatRule().needs_input
    True
    """

    needs_input: ClassVar[bool] = True

    def part(self, linear: LinearMap, x: Origin, z: Any) -> Any:
        """See `Rule.part`."""
        even = linear.even(x.share)
        return even * _ratio(z, even)


@register
@dataclass(frozen=True)
class WSquareRule(Rule):
    """R_i = Σ_j w_ij² R_j / Σ_i w_ij². For layers that see the model's input, where that may be any number.

    Source: Montavon et al. 2017, equation 12. The bias absorbs nothing.

    >>> ka.explain.WSquareRule()
    WSquareRule()
    """

    needs_input: ClassVar[bool] = True

    def part(self, linear: LinearMap, x: Origin, z: Any) -> Any:
        """See `Rule.part`."""
        squared = linear.squared(x.share)
        return squared * _ratio(z, squared)


@register
@dataclass(frozen=True)
class ZBoxRule(Rule):
    """R_i = Σ_j (x_i w_ij - l_i w_ij⁺ - h_i w_ij⁻) R_j / (that, summed over i): by distance from the bounds of pixels.

    For layers that see the model's input.

    Args:
        low: l, the least value of the model's input: a number, or one for each channel (the last axis).
        high: h, the largest.
    Source: Montavon et al. 2017, equation 15 (zB). The bias absorbs nothing. The bounds go through layers before
    it, such as `Rescaling`.

    >>> ka.explain.ZBoxRule(0.0, 255.0).high
    255.0
    """

    low: Any
    high: Any

    needs_input: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if hasattr(value, "tolist"):
                value = value.tolist()
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)

    def part(self, linear: LinearMap, x: Origin, z: Any) -> Any:
        """See `Rule.part`."""
        now = ops.stop_gradient(x.value) * x.share
        found = linear.plain(now) - linear.positive(x.low * x.share) - linear.negative(x.high * x.share)
        return found * _ratio(z, found)


def _ratio(above: Any, below: Any, epsilon: float = TINY) -> Any:
    """above / (below + ε sign(below)), and 0 where below is: there is nothing to share. A constant to gradients."""
    above, below = ops.stop_gradient(above), ops.stop_gradient(below)
    sign = ops.where(below < 0, -epsilon, epsilon) if epsilon else 0.0
    safe = ops.where(below == 0, 1.0, below + sign)
    return ops.where(below == 0, 0.0, above / safe)


def _counted(b: Any, ruled: Any, bias: str) -> Any:
    """What of the bias is in a denominator."""
    return {"rule": ruled, "whole": b, "none": ops.zeros_like(b)}[bias]
