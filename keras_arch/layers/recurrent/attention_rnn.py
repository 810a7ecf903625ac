"""Recurrent layer over sequences that looks at a memory in every step."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.masking import mask_of
from keras_arch.core.registration import register
from keras_arch.layers.recurrent.attention_cell import AttentionCell

Tensor = Any


@register
class AttentionRNN(keras.layers.RNN):
    """`keras.layers.RNN` over an `AttentionCell`, called with sequences and a memory: a decoder that attends.

    The keys are projected once, before the loop; the loop carries the attention vector and the states of the wrapped
    cell. B: batch size, T: length, D: features, S: memory length, M: features of the memory, N: units of the cell.

    Args:
        cell: a `keras_arch.layers.AttentionCell`.
        return_sequences: whether to return the outputs of all steps, (B, T, N), or of the last, (B, N).
        return_state: whether to return the last states too: the attention vector, then those of the wrapped cell.
        go_backwards: whether to read the sequence from its end; the output is then in this order.
        stateful: whether the last states are the initial ones of the next call; needs a fixed batch size.
        unroll: whether to unroll the loop; needs a fixed length.
        zero_output_for_mask: whether outputs are 0 where the mask is False, in place of the last output before.
        return_attention_scores: whether to return the alignments of all steps, (B, T, S).
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        sequences: float tensor, (B, T, D); T may be None.
        memory: float tensor, (B, S, M), such as the outputs of an encoder; S may be None.
        memory_mask: bool (B, S), True for real steps; None takes the mask that travels with `memory`.
        initial_state: states of the wrapped cell, such as the last ones of an encoder, with or without the attention
            vector before them, which is zeros otherwise.
        mask: bool (B, T), likewise for `sequences`. A step that is left out changes no state; its row of alignments
            repeats the last one before (0 with `zero_output_for_mask`).
        training: whether the cell drops.

    Returns:
        The output; or a tuple of it, the alignments if asked for, and the states one by one if asked for.

    Raises:
        ValueError: if the cell is not an AttentionCell, a state is missing, or a rank is wrong.

    Source: TensorFlow Addons' AttentionWrapper passes the memory to its cell before the call, which a saved functional
    model can't repeat, and the `constants` of former versions of Keras are gone.

    >>> layer = AttentionRNN(ka.layers.AttentionCell(keras.layers.LSTMCell(4), 3), return_attention_scores=True)
    >>> output, scores = layer(np.ones((2, 5, 3)), memory=np.ones((2, 6, 7)))
    >>> tuple(output.shape), tuple(scores.shape)
    ((2, 3), (2, 5, 6))
    """

    def __init__(
        self,
        cell: AttentionCell,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        return_attention_scores: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(cell, AttentionCell):
            advice = "Wrap the cell: keras_arch.layers.AttentionCell(cell, units)."
            raise check.refuse("cell", "must be a keras_arch.layers.AttentionCell", cell, advice)
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            zero_output_for_mask=zero_output_for_mask,
            **{"dtype": cell.dtype_policy, **kwargs},
        )
        self.return_attention_scores = return_attention_scores

    def build(self, sequences_shape: tuple, memory_shape: tuple, initial_state_shape: Any = None) -> None:
        """Create the weights of the cell, and the variables of the states if they are kept."""
        if not self.cell.built:
            batch, length, _ = memory_shape
            own = [(batch, size) for size in self.cell.state_size]
            of_memory = [(batch, length, self.cell.key_units), tuple(memory_shape), (batch, length), (batch, length)]
            self.cell.build((batch, sequences_shape[-1]), [*own, *of_memory])
        super().build(sequences_shape)

    def call(
        self,
        sequences: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None = None,
        initial_state: Any = None,
        mask: Tensor | None = None,
        training: bool = False,
    ) -> Any:
        """Run the cell over the sequences."""
        of_memory = self.cell.memory_states(memory, memory_mask)
        mask = mask_of(sequences) if mask is None else mask
        states = self._first_states(ops.shape(sequences)[0], initial_state)
        if self.return_attention_scores:
            states[0] = ops.concatenate([states[0], of_memory[-1]], axis=-1)  # (B, N + S)
        self.cell.get_dropout_mask(sequences[:, 0])
        loop = keras.layers.RNN(
            _Step(self.cell, of_memory, training, self.return_attention_scores),
            return_sequences=self.return_sequences or self.return_attention_scores,
            return_state=True,
            go_backwards=self.go_backwards,
            unroll=self.unroll,
            zero_output_for_mask=self.zero_output_for_mask,
            dtype=self.dtype_policy,
            name=self.name,
        )
        output, *states = loop(sequences, initial_state=states, mask=mask)
        self.cell.reset_dropout_mask()
        extras = []
        if self.return_attention_scores:
            units = self.cell.units
            output, scores = output[..., :units], output[..., units:]  # (B, T, N), (B, T, S)
            states[0] = states[0][:, :units]
            output = output if self.return_sequences else output[:, -1]
            extras.append(scores)
        if self.stateful:
            for variable, state in zip(keras.tree.flatten(self.states), keras.tree.flatten(states), strict=True):
                variable.assign(state)
        extras.extend(states if self.return_state else [])
        return (output, *extras) if extras else output

    def _first_states(self, batch: Any, given: Any) -> list[Any]:
        if given is None and self.stateful:
            # Copies: PyTorch's gradient refuses to see the variables change after the loop.
            return keras.tree.map_structure(ops.copy, list(self.states))
        states = self.get_initial_state(batch)
        if given is None:
            return states
        given = list(given) if isinstance(given, list | tuple) else [given]
        if len(given) not in (len(states), len(states) - 1):
            rule = f"must hold the {len(states) - 1} states of the wrapped cell, or the attention vector and them"
            raise check.refuse("initial_state", rule, [tuple(x.shape) for x in given], "Pass the states as a list.")
        return given if len(given) == len(states) else [states[0], *given]

    def compute_output_shape(self, sequences_shape: tuple, memory_shape: tuple, initial_state_shape: Any = None) -> Any:
        """Shapes of what a call returns."""
        shape = super().compute_output_shape(sequences_shape)
        output, *states = shape if self.return_state else (shape,)
        scores = [(*sequences_shape[:2], memory_shape[1])] if self.return_attention_scores else []
        return (output, *scores, *states) if scores or states else output

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        """The mask of the sequences for what has their steps."""
        steps = keras.tree.flatten(mask)[0]
        output = steps if self.return_sequences else None
        scores = [steps] if self.return_attention_scores else []
        states = [None] * len(keras.tree.flatten(self.state_size)) if self.return_state else []
        return [output, *scores, *states] if scores or states else output

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        return {**super().get_config(), "return_attention_scores": self.return_attention_scores}


class _Step:
    """The cell with its memory, for a loop that does not carry the memory from step to step.

    In the loop's states RNN would blend the memory with itself in masked steps, and keep it once a step for gradients.
    """

    def __init__(self, cell: AttentionCell, memory: list[Tensor], training: bool, with_alignments: bool) -> None:
        self.cell, self.memory, self.training, self.with_alignments = cell, memory, training, with_alignments
        self.state_size, self.compute_dtype = cell.state_size, cell.compute_dtype

    def __call__(self, inputs: Tensor, states: list[Any]) -> tuple[Tensor, list[Any]]:
        before, *own = states
        attention = before[:, : self.cell.units]  # alignments may follow it
        output, after = self.cell(inputs, [attention, *own, *self.memory], training=self.training)
        if self.with_alignments:
            output = ops.concatenate([output, after[-1]], axis=-1)  # (B, N + S)
        return output, [output, *after[1 : len(states)]]

    call = __call__
