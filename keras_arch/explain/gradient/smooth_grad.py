"""SmoothGrad: the mean of an explanation over noisy copies of the sample."""

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
class SmoothGrad(NoisyMethod):
    """An explanation averaged over noisy copies of each sample.

    values = 1/n Σₖ M(x + σ εₖ),   εₖ ~ N(0, 1),   σ = noise · (max x - min x)
    M: what the method finds.   x: the input.   n: samples.   σ: one per sample and input, or `noise` itself.

    The noise of a step has one sample's shape and serves the whole batch, so a result does not depend on what else
    is in the batch; it depends on `seed` alone. For `Saliency`, `InputXGradient`, `GuidedBackprop` and `Deconvnet`
    noise and sum are compiled with the gradient, and the noise is added where the gradient is taken: with `layer` to
    that layer's output, for token ids to their embedding. Every other method explains one noisy copy of the inputs
    after the other.

    Args:
        method: M, the method that is smoothed. The default averages signed gradients, as the paper does, which drops
            signs only for the picture; `Saliency()` averages their sizes, as Captum's NoiseTunnel does.
        samples: n, >= 1.
        noise: standard deviation of the noise, >= 0, as a share of each sample's range, 0.1 to 0.2 in the paper.
        relative: whether it is such a share; otherwise it is in the inputs' own units, as Captum's `stdevs`.
        seed: an int >= 0, where the noise starts from.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, for token ids with a method not named above.
    Source: Smilkov et al. 2017, arXiv:1706.03825. tf-explain differentiates the cross-entropy instead of the score.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.set_weights([np.array([[3.0], [-2.0]]), np.ones(1)])
    >>> SmoothGrad(samples=4).explain(model, [[1.0, 2.0]]).values.tolist()
    [[3.0, -2.0]]
    """

    method: Method = SIGNED
    samples: int = 50
    noise: float = 0.15
    relative: bool = True
    seed: int = 0

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        mean, _, rest = self.moments(probe, inputs, selections)
        return {"values": mean, **rest}
