"""A cell that looks at a memory in every step."""

from typing import Any

import keras
from keras import activations, initializers, ops

from keras_arch.core import check
from keras_arch.core.initializer import cloned
from keras_arch.core.masking import mask_of, without_mask
from keras_arch.core.registration import register
from keras_arch.layers.recurrent import dropout_masks
from keras_arch.layers.recurrent.cell_wrapper import CellWrapper
from keras_arch.ops.alignment import additive_scores, multiplicative_scores, read_memory

Tensor = Any
SCORES = ("luong", "scaled_luong", "bahdanau", "normed_bahdanau")
MEMORY_STATES = 4


@register
class AttentionCell(CellWrapper):
    """Cell that in every step attends over a memory with the output of the cell in it.

    y, s' = cell([x, a], s);  w = softmax(score(y, K), over visible steps);  a' = φ([y, w V] P)

    luong: y · k_s, scaled by a learned gain g in "scaled_luong";  bahdanau: v · tanh(y Q + k_s), or
    g v / |v| · tanh(y Q + k_s + b) in "normed_bahdanau".
    x: inputs (B, D), a: the attention vector, output of the step (B, N), y: the cell's output (B, H), V: memory
    (B, S, M), K: keys V W, (B, S, U), projected once. B: batch size, D: features, N: `units`, S: memory length.

    In a model put it in `keras_arch.layers.AttentionRNN`, which takes the memory with its sequences. For decoding
    step by step, all that a step needs is in its states: those of `initial_states(memory)`, which are a, the states of
    the cell, and then K, V, the mask and the last alignments w (B, S), in this order. A memory of which nothing is
    visible gives a context of zeros.

    Args:
        cell: such as a `keras.layers.LSTMCell` or `keras.layers.StackedRNNCells`; its dropout works as usual.
        units: N, >= 1.
        score: "luong", "scaled_luong", "bahdanau" or "normed_bahdanau".
        key_units: U, >= 1; None for H. The scores of Luong need H.
        attention_activation: φ, a Keras activation. None is the identity.
        input_feeding: whether the cell gets [x, a]; without it, x alone.
        kernel_initializer: for W, Q, P and v.
        **kwargs: of `keras.layers.Layer`, such as `name`; `dtype` is that of the cell if it is not given.
    Raises:
        ValueError: if `cell` is no cell, units are < 1, the score is unknown or `key_units` do not fit it; at the
            first call, without a memory.
    Source: Luong, Pham and Manning 2015, arXiv:1508.04025, equations 5 and 8 and section 3.3 (input feeding);
    Bahdanau, Cho and Bengio 2015, arXiv:1409.0473, whose scores look at the state before the step: here they too look
    at the cell's output after it, as in TensorFlow Addons' AttentionWrapper. There P and φ are an optional layer.

    >>> cell = AttentionCell(keras.layers.GRUCell(4), units=3)
    >>> states = cell.initial_states(np.ones((2, 6, 5)))
    >>> output, states = cell(np.ones((2, 3)), states)
    >>> tuple(output.shape), np.round(keras.ops.convert_to_numpy(states[-1]).sum(axis=-1), 4).tolist()
    ((2, 3), [1.0, 1.0])
    """

    def __init__(
        self,
        cell: keras.layers.Layer,
        units: int,
        score: str = "luong",
        key_units: int | None = None,
        attention_activation: Any = "tanh",
        input_feeding: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(cell, **kwargs)
        self.units = check.integer("units", units)
        self.score = check.one_of("score", score, SCORES)
        width = dropout_masks.output_size(cell)
        self.key_units = width if key_units is None else check.integer("key_units", key_units)
        if "luong" in score and self.key_units != width:
            rule = f"must be {width}, the size of the cell's output, for the scores of Luong"
            raise check.refuse("key_units", rule, key_units, "Leave it out, or choose a score of Bahdanau.")
        self.attention_activation = activations.get(attention_activation)
        self.input_feeding = input_feeding
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.memory_layer = self._product("memory_layer", self.key_units)
        self.query_layer = self._product("query_layer", self.key_units) if "bahdanau" in score else None
        self.attention_layer = self._product("attention_layer", self.units, self.attention_activation)

    def _product(self, name: str, units: int, activation: Any = None) -> keras.layers.Dense:
        return keras.layers.Dense(
            units,
            activation=activation,
            use_bias=False,
            kernel_initializer=cloned(self.kernel_initializer),
            dtype=self.dtype_policy,
            name=name,
        )

    @property
    def output_size(self) -> int:
        """N."""
        return self.units

    @property
    def state_size(self) -> list[Any]:
        """N, then the sizes of the cell's states; those of the memory are known with the memory only."""
        return [self.units, *dropout_masks.state_sizes(self.cell)]

    def build(self, inputs_shape: tuple, states_shape: list | None = None) -> None:
        """Create the weights of the cell and of the attention.

        Args:
            inputs_shape: (B, D).
            states_shape: shapes of all states, those of the memory included.
        """
        if states_shape is None or len(states_shape) != len(self.state_size) + MEMORY_STATES:
            advice = "Put the cell in keras_arch.layers.AttentionRNN, or step it with initial_states(memory)."
            raise check.refuse("states", "must hold a memory to attend over", states_shape, advice)
        batch, width, memory_shape = inputs_shape[0], self.cell_output_size, tuple(states_shape[-3])
        super().build((batch, inputs_shape[-1] + (self.units if self.input_feeding else 0)))
        if not self.memory_layer.built:
            self.memory_layer.build(memory_shape)
        self.attention_layer.build((batch, width + memory_shape[-1]))
        if self.query_layer is not None:
            self.query_layer.build((batch, width))
            # Keras draws a vector's values as those of a matrix with one column.
            self.direction = self.add_weight((self.key_units, 1), cloned(self.kernel_initializer), name="direction")
        self.gain = self.shift = None
        if self.score in ("scaled_luong", "normed_bahdanau"):
            first = 1.0 if self.score == "scaled_luong" else self.key_units**-0.5
            self.gain = self.add_weight((), keras.initializers.Constant(first), name="gain")
        if self.score == "normed_bahdanau":
            self.shift = self.add_weight((self.key_units,), "zeros", name="shift")

    @property
    def cell_output_size(self) -> int:
        """H."""
        return dropout_masks.output_size(self.cell)

    def memory_states(self, memory: Tensor, memory_mask: Tensor | None = None) -> list[Tensor]:
        """Keys, values, mask and no alignments yet: the last states of a step.

        Args:
            memory: V, shape (B, S, M).
            memory_mask: bool (B, S), True for real steps; None takes the mask that travels with `memory`.
        """
        memory = ops.convert_to_tensor(memory)
        if len(memory.shape) != 3:
            raise check.refuse("memory", "must have three axes", tuple(memory.shape), "Pass (batch, length, features).")
        memory_mask = mask_of(memory) if memory_mask is None else memory_mask
        memory = ops.cast(memory if memory_mask is None else without_mask(memory), self.compute_dtype)
        none = ops.zeros_like(memory[..., 0])
        visible = none + 1 if memory_mask is None else ops.cast(memory_mask, self.compute_dtype)
        return [self.memory_layer(memory), memory, visible, none]

    def initial_states(self, memory: Tensor, memory_mask: Tensor | None = None, cell_states: Any = None) -> list[Any]:
        """All states of a first step.

        Args:
            memory: V, shape (B, S, M).
            memory_mask: bool (B, S), True for real steps; None takes the mask that travels with `memory`.
            cell_states: list of the states of the wrapped cell, such as those of an encoder; None for its initial ones.
        """
        of_memory = self.memory_states(memory, memory_mask)
        attention, *own = self.get_initial_state(ops.shape(of_memory[1])[0])
        return [attention, *(own if cell_states is None else cell_states), *of_memory]

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros for the attention vector, and the initial states of the cell; none of the memory."""
        attention = ops.zeros((batch_size, self.units), self.compute_dtype)
        return [attention, *dropout_masks.initial_states(self.cell, batch_size)]

    def call(self, inputs: Tensor, states: list[Any], training: bool = False) -> tuple[Tensor, list[Any]]:
        """One step.

        Args:
            inputs: x, shape (B, D).
            states: as `initial_states` and the step before return them.
            training: whether the cell drops.
        Returns:
            a' and the new states, of which the last are this step's alignments.
        """
        attention, *own, keys, values, visible, _ = states
        output, own = self.step(self._fed(inputs, attention), own)
        context, alignments = read_memory(self._scores(output, keys), values, visible)
        attention = self.attention_layer(ops.concatenate([output, context], axis=-1))
        return attention, [attention, *own, keys, values, visible, alignments]

    def _fed(self, inputs: Tensor, attention: Tensor) -> Tensor:
        return ops.concatenate([inputs, attention], axis=-1) if self.input_feeding else inputs

    def _scores(self, query: Tensor, keys: Tensor) -> Tensor:
        if self.query_layer is None:
            return multiplicative_scores(query, keys, self.gain)
        return additive_scores(self.query_layer(query), keys, self.direction[:, 0], self.gain, self.shift)

    def cell_inputs(self, inputs: Tensor) -> Tensor:
        return self._fed(inputs, ops.zeros((ops.shape(inputs)[0], self.units), inputs.dtype))

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        return {
            **super().get_config(),
            "units": self.units,
            "score": self.score,
            "key_units": self.key_units,
            "attention_activation": activations.serialize(self.attention_activation),
            "input_feeding": self.input_feeding,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
        }
