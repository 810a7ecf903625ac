"""Attention rollout: how much each token enters another, when attention of all layers is multiplied."""

from dataclasses import dataclass
from typing import Any

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain.attention import rollout
from keras_arch.explain.attention.rollout_method import RolloutMethod


@dataclass(frozen=True)
class MixedWithResidual:
    """Rule of `Rollout`: heads fused, small weights discarded, the residual connection added, rows made to sum to 1."""

    heads: str
    residual: float
    discard_ratio: float
    needs_gradients = False

    def matrices(self, weights: list, gradients: list, pools: bool) -> list:
        """One matrix per layer; a pooling at the end has no residual connection."""
        kept = [rollout.without_smallest(rollout.fused(one, self.heads), self.discard_ratio) for one in weights]
        stack = [rollout.with_residual(one, self.residual) for one in (kept[:-1] if pools else kept)]
        return [*stack, rollout.normalized(kept[-1])] if pools else stack


@register
@dataclass(frozen=True, eq=False, repr=False)
class AttentionRollout(RolloutMethod):
    """How much each token enters the one that is read, by the attention of all layers; the same for every target.

    values = row q of Â_L ⋯ Â_1,   Â_l = normalize(r I + (1 - r) fuse_h A_lh)
    A_lh: weights (T, T) of head h in layer l, whose rows sum to 1 over what the masks show.   r: `residual`.
    q: the token that is read.   T: tokens.

    The values of one sample sum to 1 over all tokens, those before the grid included. A token that sees nothing keeps
    to itself. A last layer with other queries, such as `keras_arch.layers.AttentionPooling`, is multiplied without a
    residual connection. Rollout of a decoder with cross-attention is refused: name the layers of one stack.

    Args:
        layers: None for all attention layers; or a layer, its name or its path, or several of these. The name of a
            block or a nested model means the attention layers inside.
        query: the token that is read: its number; "mean" for the mean over all that see something; "auto" for the
            first where tokens come before the grid, such as a class token, and else the mean.
        grid: how the tokens lie in the input, (rows, columns) for images, (length,) for sequences. None asks the
            model's patch embedding or, without one, takes the grid of the image's aspect that leaves the fewest tokens
            before it.
        prefix_tokens: how many tokens come first that stand for no place (class token, registers); None for those that
            the grid leaves.
        interpolation: "linear" or "nearest", how the grid is spread over an image; None keeps the grid.
        heads: "mean", "min" or "max", how heads are brought to one.
        residual: r, share of the residual connection, in [0, 1].
        discard_ratio: share of each layer's fused weights that is set to 0 before, the smallest first, in [0, 1).
    Returns:
        (from `explain`) an `Attribution` with values (N, T) for token ids (N, T), (N, T, 1) for sequences (N, T, C)
        and (N, h, w, 1) for images (N, h, w, C), without the tokens before the grid.
    Raises:
        ValueError: if a setting is out of range; in `explain`, if the model has no attention layer, if the layers are
            not those of one stack, or if the tokens cannot be placed in an input.
    Source: Abnar and Zuidema 2020, arXiv:2005.00928, section 3, with r = 0.5 and the mean of heads. Other ways to fuse
    heads, and discarding, are of common use in vision and not in the paper.

    >>> inputs = keras.Input((4, 8))
    >>> hidden = keras.layers.MultiHeadAttention(2, 4)(inputs, inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(hidden)))
    >>> attribution = AttentionRollout().explain(model, np.ones((1, 4, 8)))
    >>> attribution.values[0, :, 0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    heads: str = "mean"
    residual: float = 0.5
    discard_ratio: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check.one_of("heads", self.heads, rollout.HEADS)
        check.real("residual", self.residual, minimum=0, maximum=1)
        check.real("discard_ratio", self.discard_ratio, minimum=0, maximum=1, open_maximum=True)

    def rule(self) -> Any:
        """See `RolloutMethod.rule`."""
        return MixedWithResidual(self.heads, float(self.residual), float(self.discard_ratio))
