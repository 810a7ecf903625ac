"""The residual connection around a branch of a transformer block, and the constants of DeepNorm."""

from collections.abc import Callable
from typing import Any

from keras_arch.core import check

PLACEMENTS = ("pre", "post", "sandwich", "deepnorm")


def residual(
    x: Any, branch: Callable[[Any], Any], norm: Callable[[Any], Any], placement: str = "pre", alpha: float = 1.0
) -> Any:
    """Add what a branch computes to its input, and normalize before or after.

    "pre", "sandwich":   x + branch(norm(x)); a sandwich's branch ends in a normalization of its own.
    "post", "deepnorm":  norm(alpha x + branch(x)), alpha = 1 for "post".

    Args:
        x: float tensor of any shape.
        branch: maps a tensor to one of the same shape.
        norm: likewise.
        placement: one of `PLACEMENTS`.
        alpha: weight of the input in "deepnorm", see `deepnorm_constants`.
    Returns:
        Tensor of the shape of `x`.
    Source: Vaswani et al. 2017, arXiv:1706.03762; Xiong et al. 2020, arXiv:2002.04745; Ding et al. 2021,
        arXiv:2105.13290; Wang et al. 2022, arXiv:2203.00555.

    >>> double, increase = lambda x: 2 * x, lambda x: x + 1
    >>> residual(1.0, double, increase, "pre"), residual(1.0, double, increase, "post")
    (5.0, 4.0)
    >>> residual(1.0, double, increase, "deepnorm", alpha=3)
    6.0
    """
    if placement in ("pre", "sandwich"):
        return x + branch(norm(x))
    kept = x if placement == "post" else alpha * x
    return norm(kept + branch(x))


def deepnorm_constants(num_layers: int | tuple[int, int], stack: str) -> tuple[float, float]:
    """Weight alpha of the residual connection and initialization gain beta that keep a deep post-norm stack stable.

    N blocks, encoder only or decoder only:  alpha = (2 N)^(1/4),             beta = (8 N)^(-1/4).
    Encoder of (N, M) blocks:                alpha = 0.81 (N^4 M)^(1/16),     beta = 0.87 (N^4 M)^(-1/16).
    Decoder of (N, M) blocks:                alpha = (3 M)^(1/4),             beta = (12 M)^(-1/4).

    alpha weighs the input in norm(alpha x + branch(x)). beta multiplies the initial values of the value and the output
    projection and of the feed-forward network, not of the query and the key projection.

    Args:
        num_layers: N, blocks of a model of one stack; or (N, M), blocks of its encoder and its decoder.
        stack: "encoder" or "decoder", which of the two stacks is asked about.
    Returns:
        (alpha, beta).
    Raises:
        ValueError: for a number below 1, or a tuple that is no pair.
    Source: Wang et al. 2022, arXiv:2203.00555, figure 2.

    >>> alpha, beta = deepnorm_constants(8, "encoder")
    >>> alpha, round(beta, 4)
    (2.0, 0.3536)
    """
    check.one_of("stack", stack, ("encoder", "decoder"))
    if not isinstance(num_layers, tuple | list):
        blocks = check.integer("num_layers", num_layers)
        return (2 * blocks) ** 0.25, (8 * blocks) ** -0.25
    if len(num_layers) != 2:
        advice = "Pass (blocks of the encoder, blocks of the decoder), or one number for a model of one stack."
        raise check.refuse("num_layers", "must be a number or a pair", num_layers, advice)
    encoder, decoder = (check.integer("num_layers", blocks) for blocks in num_layers)
    if stack == "decoder":
        return (3 * decoder) ** 0.25, (12 * decoder) ** -0.25
    depth = (encoder**4 * decoder) ** 0.0625
    return 0.81 * depth, 0.87 / depth
