"""Which weights of a layer are quantized, and which of their axes have ranges of their own."""

import keras

from keras_arch.compression.quantization.scheme import PerGroup, PerTensor, Scheme
from keras_arch.core import check


def kernels_of(layer: keras.Layer) -> list[keras.Variable]:
    """The weights of a layer that are quantized: float, of rank 2 or more, and trained unless the layer is frozen.

    Biases and the scales of normalizations are none, whatever their rank: those of attention have an axis of heads.

    >>> dense = keras.layers.Dense(3)
    >>> dense.build((None, 2))
    >>> [kernel.name for kernel in kernels_of(dense)]
    ['kernel']
    """
    weights = layer.trainable_weights if layer.trainable else layer.weights
    return [
        weight
        for weight in weights
        if len(weight.shape) >= 2
        and keras.backend.is_float_dtype(weight.dtype)
        and not any(part in weight.name for part in ("bias", "gamma", "beta"))
    ]


def channel_axes(scheme: Scheme, shape: tuple[int, ...], channels: int | None) -> tuple[int, ...]:
    """Axes of a kernel that get a range for each index.

    Args:
        scheme: how kernels are quantized.
        shape: shape of the kernel.
        channels: number of output channels of its layer, None if unknown.
    Returns:
        () for one range; the last axis where it counts the output channels; the last two where their product does, as
        in a depthwise kernel. Groups divide the last axis but one further.
    Raises:
        ValueError: for an axis that the kernel does not have, or groups that do not divide its inputs.

    >>> channel_axes(Scheme.for_weights(8), (3, 3, 8, 2), channels=16)
    (2, 3)
    """
    if isinstance(scheme.granularity, PerTensor):
        return ()
    rank = len(shape)
    if isinstance(scheme.granularity, PerGroup):
        size = scheme.granularity.size
        if shape[-2] % size:
            rule = f"must divide the {shape[-2]} inputs of the kernel of shape {tuple(shape)}"
            raise check.refuse("size", rule, size, "Choose a divisor, or leave the layer out with exclude=[...].")
        return (rank - 1,)
    if scheme.granularity.axis is not None:
        axis = scheme.granularity.axis
        if not -rank <= axis < rank:
            raise check.refuse("axis", f"must be an axis of the kernel of shape {shape}", axis, "Use axis=-1.")
        return (axis % rank,)
    if rank <= 3:
        return ()
    if shape[-1] != channels and shape[-1] * shape[-2] == channels:
        return (rank - 2, rank - 1)
    return (rank - 1,)
