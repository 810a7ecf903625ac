"""Gradient rollout: attention that speaks for the target, added up over layers."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_arch.core.registration import register
from keras_arch.explain.attention import rollout
from keras_arch.explain.attention.rollout_method import RolloutMethod


@dataclass(frozen=True)
class AddedInfluence:
    """Rule of `Rollout`: the identity, for what a token brings along, and what speaks for the target."""

    needs_gradients = True

    def matrices(self, weights: list, gradients: list, pools: bool) -> list:
        """I + Ā per layer; Ā for a pooling at the end."""
        found = [rollout.positive_influence(*pair) for pair in zip(weights, gradients, strict=True)]
        stack = [ops.eye(one.shape[-1], dtype=one.dtype) + one for one in (found[:-1] if pools else found)]
        return [*stack, found[-1]] if pools else stack


@register
@dataclass(frozen=True, eq=False, repr=False)
class GradientAttentionRollout(RolloutMethod):
    """How much each token enters the one that is read, by attention that speaks for the target.

    values = row q of R - I,   R ← I, then R ← R + Ā_l R for l = 1 … L,   Ā_l = mean_h max(A_lh ⊙ ∂F/∂A_lh, 0)
    A_lh: weights (T, T) of head h in layer l.   F: the score, the scalar that the target selects.
    q: the token that is read.   T: tokens.

    The identity that every token starts with is left out of the values, which it would only hide. A last layer with
    other queries, such as `keras_arch.layers.AttentionPooling`, gives R ← Ā R. The paper's rules for two sequences
    (cross-attention) are not here: such models are refused, name the layers of one stack.

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
    Returns:
        (from `explain`) an `Attribution` with values >= 0: (N, T) for token ids (N, T), (N, T, 1) for sequences
        (N, T, C) and (N, h, w, 1) for images (N, h, w, C), without the tokens before the grid.
    Raises:
        ValueError: if a setting is out of range; in `explain`, if the model has no attention layer, one that shows its
            weights but not where they meet the values (`keras_arch.layers.LinearAttention`), if the layers are not
            those of one stack or do not lead to the target, or if the tokens cannot be placed in an input.
    Source: Chefer, Gur and Wolf 2021, arXiv:2103.15679, equations 5 and 6.

    >>> inputs = keras.Input((4, 8))
    >>> hidden = keras.layers.MultiHeadAttention(2, 4)(inputs, inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(hidden)))
    >>> GradientAttentionRollout().explain(model, np.random.default_rng(0).normal(size=(3, 4, 8)), 1).values.shape
    (3, 4, 1)
    """

    def rule(self) -> Any:
        """See `RolloutMethod.rule`."""
        return AddedInfluence()
