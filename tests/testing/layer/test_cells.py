"""Checks of recurrent cells, each seen to notice what it is for."""

import keras
import pytest

pytestmark = pytest.mark.backend
register = keras.saving.register_keras_serializable("cells")
ops = keras.ops
CELLS = (
    "cell_states_agree",
    "steps_equal_rnn",
    "unrolling_equals_looping",
    "masked_steps_keep_states",
    "stateful_halves_equal_whole",
    "bidirectional_agrees",
    "stacked_cells_equal_chained",
)


@register
class Leaky(keras.layers.Layer):
    """Right: state = tanh(x W + state / 2), output = state."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units
        self.output_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units))

    def call(self, inputs, states, training=False):
        state = ops.tanh(ops.matmul(inputs, self.kernel) + states[0] / 2)
        return state, [state]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@register
class WrongOutputSize(Leaky):
    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.output_size = units + 1


@register
class ExtraInitialState(Leaky):
    def get_initial_state(self, batch_size=None):
        return [ops.zeros((batch_size, self.units)), ops.zeros((batch_size, 1))]

    def call(self, inputs, states, training=False):
        state, _ = super().call(inputs, states)
        return state, [state, *states[1:]]


@register
class CountsCalls(Leaky):
    """Scales the input by a number that grows with every Python call."""

    calls = 0

    def call(self, inputs, states, training=False):
        self.calls += 1
        return super().call(inputs * self.calls, states)


@register
class FirstLayerOnly(Leaky):
    def build(self, input_shape):
        if input_shape[-1] != 4:
            raise ValueError("four features, please")
        super().build(input_shape)


def test_a_right_cell_passes(failures, only):
    assert failures(Leaky, {"units": 3}, (2, 5, 4), cell=True, skip=only(*CELLS)) == {}


def test_an_output_size_that_does_not_fit(failures, only):
    found = failures(WrongOutputSize, {"units": 3}, (2, 5, 4), cell=True, skip=only("cell_states_agree"))
    assert set(found) == {"cell_states_agree"}
    assert "a step gives 3 features, output_size is 4" in found["cell_states_agree"]


def test_initial_states_that_do_not_fit(failures, only):
    found = failures(ExtraInitialState, {"units": 3}, (2, 5, 4), cell=True, skip=only("cell_states_agree"))
    assert set(found) == {"cell_states_agree"}
    assert "initial states have shapes [(2, 3), (2, 1)], state_size asks for [(2, 3)]" in found["cell_states_agree"]


def test_state_outside_the_states(failures, only):
    found = failures(CountsCalls, {"units": 3}, (2, 5, 4), cell=True, skip=only(*CELLS))
    assert set(found) >= {"steps_equal_rnn", "unrolling_equals_looping", "stateful_halves_equal_whole"}
    assert "the cell called step by step against RNN" in found["steps_equal_rnn"]


def test_a_cell_that_can_not_be_found_again(failures, only):
    class Local(Leaky):
        """Not registered."""

    names = ("bidirectional_agrees", "class_serialization")
    found = failures(Local, {"units": 3}, (2, 5, 4), cell=True, skip=only(*names))
    assert set(found) == {"bidirectional_agrees", "class_serialization", "cell: class_serialization"}


def test_a_size_that_depends_on_the_first_layer(failures, only):
    found = failures(FirstLayerOnly, {"units": 3}, (2, 5, 4), cell=True, skip=only("stacked_cells_equal_chained"))
    assert set(found) == {"stacked_cells_equal_chained"}
