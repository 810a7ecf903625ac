"""Recurrent kernels that hand the state on unchanged, gate by gate."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.initializer import rounded
from keras_arch.core.registration import register


@register
class IdentityRecurrent(keras.initializers.Initializer):
    """Recurrent kernel of one scaled identity matrix for each gate.

    W = [gain_1 I, .., gain_G I],  shape (N, G N).  N: units, G: gates.

    A simple recurrent layer with ReLU, this kernel and a zero bias adds up its inputs without loss or growth (IRNN).
    `keras.initializers.Identity` is the same for G = 1; for the stacked gates of an LSTM or GRU it reaches the first
    gate only, and its size is never checked.

    Args:
        gain: factor of each identity: one number for all gates, or a sequence with one for each gate in the order of
            the kernel, such as (0, 0, 1, 0) for the candidate of an LSTM. The paper takes 1, and 0.01 for speech.
    Raises:
        ValueError: for a gain that is no finite number; at the call, if the shape is not that of a matrix of (N, G N),
            or has not as many gates as there are gains.
    Source: Le, Jaitly and Hinton 2015, arXiv:1504.00941, section 3; there the other weights begin as N(0, 0.001²) and
    biases as zeros.

    >>> ops.convert_to_numpy(IdentityRecurrent((1.0, 0.5))((2, 4))).tolist()
    [[1.0, 0.0, 0.5, 0.0], [0.0, 1.0, 0.0, 0.5]]
    """

    def __init__(self, gain: float | Sequence[float] = 1.0) -> None:
        several = isinstance(gain, tuple | list)
        if several and not gain:
            raise check.refuse("gain", "must be a number or one number for each gate", gain, "Pass for example 1.0.")
        self.gain = tuple(_finite(part) for part in gain) if several else _finite(gain)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Make a kernel.

        Args:
            shape: (N, G N).
            dtype: a float dtype; None is Keras's floatx.
        Returns:
            Tensor of that shape and dtype.
        """
        shape = tuple(shape)
        if len(shape) != 2 or shape[1] % shape[0] or not shape[1]:
            rule = "must be (units, gates * units)"
            raise check.refuse("shape", rule, shape, "Give it to the recurrent kernel of a layer.")
        gates = shape[1] // shape[0]
        gains = self.gain if isinstance(self.gain, tuple) else (self.gain,) * gates
        if len(gains) != gates:
            raise check.refuse("gain", f"must be one number, or {gates} for {gates} gates", self.gain, "Pass so many.")
        return rounded(lambda shape, dtype: _identities(shape[0], gains, dtype), shape, dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"gain": self.gain}


def _identities(units: int, gains: tuple[float, ...], dtype: str) -> Any:
    return ops.concatenate([gain * ops.eye(units, dtype=dtype) for gain in gains], axis=1)  # (N, G N)


def _finite(gain: Any) -> float:
    ends = {"minimum": float("-inf"), "maximum": float("inf"), "open_minimum": True, "open_maximum": True}
    return check.real("gain", gain, **ends)
