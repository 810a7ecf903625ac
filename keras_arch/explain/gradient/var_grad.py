"""VarGrad: how much an explanation varies over noisy copies of the sample."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_arch.core.registration import register
from keras_arch.explain.gradient.noise import SIGNED, NoisyMethod
from keras_arch.explain.method import Method
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class VarGrad(NoisyMethod):
    """The variance of an explanation over noisy copies of each sample.

    values = 1/n Σₖ (Mₖ - m)²,   Mₖ = M(x + σ εₖ),   m = 1/n Σₖ Mₖ,   εₖ ~ N(0, 1),   σ = noise · (max x - min x)
    M: what the method finds.   x: the input.   n: samples.   σ: one per sample and input, or `noise` itself.

    Where the score is linear the variance is zero: it marks where the gradient bends. Noise and its places are those
    of `SmoothGrad` of the same settings.

    Args:
        method: M, the method whose values vary.
        samples: n, >= 1.
        noise: standard deviation of the noise, >= 0, as a share of each sample's range.
        relative: whether it is such a share; otherwise it is in the inputs' own units.
        seed: an int >= 0, where the noise starts from.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, for token ids with a method other than `Saliency`,
            `InputXGradient`, `GuidedBackprop` and `Deconvnet`.
    Source: Adebayo et al. 2018, arXiv:1810.03307. The variance is divided by n, not n - 1, as in Captum.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), keras.layers.Lambda(lambda t: t * t)])
    >>> values = VarGrad(samples=200, noise=1.0, relative=False).explain(model, [[1.0, 2.0]]).values
    >>> w = model.get_weights()[0][:, 0]                         # gradient 2 (w·x + b) w, variance 4 |w|² w²
    >>> bool(np.allclose(values, 4 * (w @ w) * w**2, rtol=0.3))
    True
    """

    spread = True

    method: Method = SIGNED
    samples: int = 50
    noise: float = 0.15
    relative: bool = True
    seed: int = 0

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        _, variance, rest = self.moments(probe, inputs, selections)
        return {"values": variance, **rest}
