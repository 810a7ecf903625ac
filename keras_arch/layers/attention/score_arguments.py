"""Masks, biases and positions that a caller gives, brought to the shape of the scores or refused."""

from typing import Any

from keras import ops

from keras_arch.ops.score_layout import ScoreLayout


def fit(argument: str, tensor: Any, scores: tuple, layout: ScoreLayout) -> Any:
    """Bring a mask or a bias to the rank of the scores, or say why it does not broadcast to them."""
    if tensor is None:
        return None
    tensor = ops.convert_to_tensor(tensor, dtype="bool" if argument == "attention_mask" else None)
    shape, attended = tuple(tensor.shape), 2 * len(layout.axes)
    ranks = range(attended, len(scores) + 1) if argument == "attention_mask" else (attended, len(scores))
    fits = len(shape) in ranks
    if fits:
        tensor = layout.attention_mask(tensor)
        fits = all(a in (1, None, b) or b is None for a, b in zip(tensor.shape, scores, strict=True))
    if not fits:
        allowed = " or ".join(map(str, sorted({attended, len(scores)})))
        raise ValueError(
            f"{argument} must broadcast to the scores' shape {scores} (batch, heads, queries, keys); received the "
            f"shape {shape}. Give it the rank {allowed}, with length 1 where it is the same for all."
        )
    return tensor
