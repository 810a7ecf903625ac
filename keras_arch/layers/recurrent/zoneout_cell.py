"""A cell whose states keep their old value now and then."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.layers.recurrent import dropout_masks
from keras_arch.layers.recurrent.cell_wrapper import CellWrapper
from keras_arch.ops.zoneout import tick, uniform_at, zoneout

Tensor = Any


@register
class ZoneoutCell(CellWrapper):
    """Cell that in training keeps random entries of the states of the cell in it as they were.

    _, s̃ = cell(x, s);  s' = z s + (1 − z) s̃ with z ~ Bernoulli(rate), anew for each entry, state and step;
    at inference s' = rate s + (1 − rate) s̃.  The output is the first of s'.

    Each state has masks of its own: the first one, h of a `keras.layers.LSTMCell`, by `output_rate`, all others, its
    c, by `cell_rate`. As in the paper h̃ is computed from c̃ before zoneout touches it. B: batch size.

    The masks follow from two random integers, drawn once for a sequence as Keras's dropout masks are, and from a clock
    that is a last state (B, 2) of the cell. So they differ between steps in loops, unrolled, compiled, on TensorFlow,
    JAX and PyTorch; they repeat after 65536 steps. Outside `keras.layers.RNN`, where a loop calls the cell by hand,
    call `reset_dropout_mask()` before each sequence. Masks, `stateful`, `go_backwards`, `return_state` and `unroll`
    are those of the RNN; steps that the mask leaves out change no state.

    Args:
        cell: a cell whose output is its first state, such as `keras.layers.LSTMCell` or `keras.layers.GRUCell`, and
            which holds no other cell: wrap the cells of a stack one by one, and a `ResidualCell` around this cell.
        output_rate: probability that an entry of the first state keeps its value, in [0, 1).
        cell_rate: likewise of all other states.
        seed: int for the masks, or None.
        **kwargs: of `keras.layers.Layer`, such as `name`; `dtype` is that of the cell if it is not given.
    Raises:
        ValueError: if `cell` is no such cell, or a rate is outside [0, 1).
    Source: Krueger et al. 2017, arXiv:1606.01305, whose rates for characters are the defaults.

    >>> cell = ZoneoutCell(keras.layers.LSTMCell(4), output_rate=0.1, cell_rate=0.3, seed=1)
    >>> tuple(keras.layers.RNN(cell, return_sequences=True)(np.ones((2, 5, 3)), training=True).shape)
    (2, 5, 4)
    """

    def __init__(
        self,
        cell: keras.layers.Layer,
        output_rate: float = 0.05,
        cell_rate: float = 0.5,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cell, **kwargs)
        self.output_rate = dropout_masks.rate("output_rate", output_rate)
        self.cell_rate = dropout_masks.rate("cell_rate", cell_rate)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.sizes = dropout_masks.state_sizes(cell)
        if isinstance(cell, keras.layers.StackedRNNCells | CellWrapper):
            advice = "Wrap the cells in it one by one, and other wrappers around this one."
            raise check.refuse("cell", "must hold no other cell", cell, advice)
        if self.sizes[0] != self.output_size:
            rule = f"must give its first state as its output, and has {self.output_size} outputs, states {self.sizes}"
            raise check.refuse("cell", rule, cell, "Choose a cell such as keras.layers.LSTMCell.")
        self.rates = [self.output_rate] + [self.cell_rate] * (len(self.sizes) - 1)
        self._key = None

    @property
    def state_size(self) -> list[int]:
        """The sizes of the cell's states, and 2 of the clock."""
        return [*self.sizes, 2]

    def call(self, inputs: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """One step.

        Args:
            inputs: what the cell takes, shape (B, D).
            states: those of the cell, then the clock (B, 2).
            training: whether entries keep their value by chance.
        Returns:
            The first new state, and all of them.
        """
        *old, clock = states
        _, new = self.step(inputs, old)
        draws = self._draws(inputs, clock) if training else [None] * len(old)
        after = [zoneout(*args) for args in zip(old, new, self.rates, draws, strict=True)]
        return after[0], [*after, tick(clock) if training else clock]

    def _draws(self, inputs: Tensor, clock: Tensor) -> list[Tensor]:
        self._draw_key()
        uniform, draws, start = uniform_at(self._key, clock, sum(self.sizes)), [], 0
        for size in self.sizes:
            draws.append(uniform[:, start : start + size])  # (B, size)
            start += size
        return draws

    def _draw_key(self) -> None:
        if self._key is None:
            # Seeds of Keras's generator would count up by one a sequence, as this cell's clock does a step.
            key = keras.random.randint((2,), 0, 2**31 - 1, dtype="int32", seed=self.seed_generator)
            self._key = ops.cast(key, self.seed_generator.state.dtype)

    def get_dropout_mask(self, inputs: Tensor) -> None:
        """Draw the integers that masks follow from, and the dropout masks of the cell in it."""
        super().get_dropout_mask(inputs)
        self._draw_key()

    def reset_dropout_mask(self) -> None:
        """Forget them."""
        super().reset_dropout_mask()
        self._key = None

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """The initial states of the cell, and the clock at 0."""
        states = dropout_masks.initial_states(self.cell, batch_size)
        return [*states, ops.zeros((batch_size, 2), self.compute_dtype)]

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        rates = {"output_rate": self.output_rate, "cell_rate": self.cell_rate}
        return {**super().get_config(), **rates, "seed": self.seed}
