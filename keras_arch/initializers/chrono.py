"""Biases of gates that make a recurrent layer remember over the whole sequence."""

import sys
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.initializer import rounded
from keras_arch.core.registration import register

GATES = {"lstm": (-1, 1, 0, 0), "gru": (1, 0, 0)}


@register
class Chrono(keras.initializers.RandomUniform):
    """Gate biases whose memories last between 1 step and `max_time` steps, spread evenly.

    b = s[gate] · log u,  u ~ U(1, T − 1), one u for each unit;  s = 1: kept, −1: written, 0: none of both.

    T: max_time. With inputs and states near 0 a gate of bias log u keeps u / (1 + u) of the state in each step, so
    that it fades like exp(−t / (1 + u)) within about 1 + u steps, in [2, T]. Gates lie one after another in the bias:

    * "lstm": (input, forget, candidate, output), as in `keras.layers.LSTM`: forget log u, input −log u, others 0.
      Keras calls the initializer without the forget gate while `unit_forget_bias` is True, its default: pass
      `unit_forget_bias=False`.
    * "gru": (update, reset, candidate), as in `keras.layers.GRU`, whose update gate is the one that keeps: log u,
      others 0. With `reset_after` the bias has two rows, which are added; the second is 0.
    * a sequence of s for other cells, one per gate, such as (-1, 0) for one whose first gate lets new values in.

    Args:
        max_time: T, in steps, >= 2: the longest dependency, such as the length of the sequences. 2 gives all zeros.
        gates: "lstm", "gru", or a sequence of -1, 0 and 1.
        seed: int, `keras.random.SeedGenerator` or None, as in Keras's initializers.
    Raises:
        ValueError: for a time below 2 or unknown gates; at the call, if the shape is not (G N,) or (2, G N), G: number
            of gates, N: units, or if an LSTM cell asks with `unit_forget_bias=True`.
    Source: Tallec and Ollivier 2018, arXiv:1804.11188, section 2 and equation 16. u is drawn in float32 and the bias
    cast.

    >>> layer = keras.layers.LSTM(3, bias_initializer=Chrono(50, seed=1), unit_forget_bias=False)
    >>> layer.build((None, 7, 2))
    >>> written, kept, candidate, shown = np.split(ops.convert_to_numpy(layer.cell.bias), 4)
    >>> bool((written == -kept).all()), bool((kept <= np.log(49)).all()), candidate.tolist()
    (True, True, [0.0, 0.0, 0.0])
    """

    def __init__(self, max_time: float = 100, gates: str | Sequence[int] = "lstm", seed: Any = None) -> None:
        self.max_time = check.real("max_time", max_time, minimum=2, maximum=float("inf"), open_maximum=True)
        super().__init__(1.0, self.max_time - 1, seed)
        self.gates = gates if isinstance(gates, str) else _checked_signs(gates)
        if isinstance(gates, str):
            check.one_of("gates", gates, GATES)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draw a bias.

        Args:
            shape: (G N,), or (2, G N) for a bias of inputs and one of states.
            dtype: a float dtype; None is Keras's floatx.
        Returns:
            Tensor of that shape and dtype.
        """
        if _asks_without_forget_gate(sys._getframe(1)):
            raise ValueError(
                "Chrono sets the forget gate, which the cell leaves out; received unit_forget_bias=True. "
                "Pass unit_forget_bias=False to the layer."
            )
        signs = GATES[self.gates] if isinstance(self.gates, str) else self.gates
        shape = tuple(shape)
        if not 1 <= len(shape) <= 2 or (len(shape) == 2 and shape[0] != 2) or shape[-1] % len(signs):
            rule = f"must be ({len(signs)} units,) or (2, {len(signs)} units) for {len(signs)} gates"
            raise check.refuse("shape", rule, shape, "Name the gates of your cell.")
        return rounded(lambda shape, dtype: self._draw(shape, dtype, signs), shape, dtype)

    def _draw(self, shape: tuple[int, ...], dtype: str, signs: tuple[int, ...]) -> Any:
        times = ops.log(super().__call__((1, shape[-1] // len(signs)), dtype=dtype))  # (1, N)
        bias = ops.concatenate([sign * times for sign in signs], axis=-1)  # (1, G N)
        return bias[0] if len(shape) == 1 else ops.pad(bias, [(0, 1), (0, 0)])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"max_time": self.max_time, "gates": self.gates, "seed": super().get_config()["seed"]}


def _checked_signs(gates: Any) -> tuple[int, ...]:
    signs = tuple(gates) if isinstance(gates, Sequence) else ()
    if not any(signs) or any(isinstance(sign, bool) or sign not in (-1, 0, 1) for sign in signs):
        raise check.refuse("gates", 'must be "lstm", "gru", or a sequence of -1, 0 and 1', gates, "Pass (-1, 1, 0, 0).")
    return signs


def _asks_without_forget_gate(caller: Any) -> bool:
    """Whether an LSTM cell draws the biases of its other gates only.

    Nothing in the arguments tells, and the shape (units,) often divides by four. Keras 3.15 draws them in a function
    inside `LSTMCell.build`, which knows the cell as `self`.
    """
    return getattr(caller.f_locals.get("self"), "unit_forget_bias", False) is True
