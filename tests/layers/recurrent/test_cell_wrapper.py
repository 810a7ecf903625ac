"""What all cells around cells do: dropout of the cell inside, its policy, its config."""

import functools
import itertools

import keras
import numpy as np
import pytest
from keras import ops
from oracles.memory_cells import run, simple_cell

from keras_arch.layers import AttentionCell, ResidualCell, ZoneoutCell
from keras_arch.layers.recurrent.cell_wrapper import CellWrapper

pytestmark = pytest.mark.backend

ON_JAX = keras.backend.backend() == "jax"
WRAPPERS = {
    "ResidualCell": ResidualCell,
    "ZoneoutCell": lambda cell: ZoneoutCell(cell, 0.0, 0.0),
    "a wrapper in a wrapper": lambda cell: ResidualCell(ZoneoutCell(cell, 0.0, 0.0)),
    # Keras 3.15 unpacks the states of a stack of one, which JAX refuses: also keras.layers.LSTMCell in one.
    **({} if ON_JAX else {"a stack": lambda cell: keras.layers.StackedRNNCells([ResidualCell(cell)])}),
    "around a stack": lambda cell: ResidualCell(keras.layers.StackedRNNCells([cell])),
}


class Training(keras.Model):
    """Calls its layer in training mode, so that `predict` shows what a compiled training step computes."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs, training=True)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_dropout_of_the_cell_inside_is_one_mask_a_sequence(rng, wrapper, mode):
    x = rng.normal(size=(2, 4, 2)).astype("float32")
    weights = [rng.normal(size=shape).astype("float32") for shape in [(2, 2), (2, 2), (2,)]]
    inner = keras.layers.SimpleRNNCell(2, dropout=0.5, recurrent_dropout=0.5, seed=1)
    layer = keras.layers.RNN(WRAPPERS[wrapper](inner), return_sequences=True, unroll=ON_JAX and mode == "eager")
    layer.build(x.shape)
    inner.set_weights(weights)
    model = Training(layer)
    model.compile(jit_compile=ON_JAX)
    shift = x if wrapper != "ZoneoutCell" else 0 * x
    kernel, recurrent, bias = weights
    masks, found = list(itertools.product([0, 2], repeat=2)), []
    for _ in range(3):
        got = model.predict(x, verbose=0) if mode == "compiled" else ops.convert_to_numpy(model(x))
        for n in range(2):
            fits = []
            for drop_x, drop_h in itertools.product(masks, masks):
                step = simple_cell(kernel, np.array(drop_h)[:, None] * recurrent, bias)
                outputs, _ = run(step, x[n : n + 1] * drop_x, [[np.zeros(2)]])
                if np.allclose(got[n] - shift[n], outputs[0], atol=1e-4):
                    fits.append((drop_x, drop_h))
            assert fits, f"no constant pair of masks explains sample {n}"
            found.append(fits[0])
    assert len(set(found)) > 1, "all sequences share one mask"


@pytest.mark.parametrize("wrapper", [ResidualCell, ZoneoutCell, functools.partial(AttentionCell, units=2)])
def test_the_policy_is_that_of_the_cell_unless_given(wrapper):
    cell = keras.layers.GRUCell(2, dtype="mixed_bfloat16")
    assert wrapper(cell).dtype_policy.name == "mixed_bfloat16"
    assert wrapper(cell, dtype="float32").dtype_policy.name == "float32"


def test_cells_survive_the_config_and_share_no_weights():
    cell = ResidualCell(ZoneoutCell(keras.layers.LSTMCell(3, dropout=0.25), 0.1, 0.2, seed=4), name="around")
    again = ResidualCell.from_config(cell.get_config())
    assert again.get_config() == cell.get_config()
    assert (again.name, again.cell.cell.dropout, again.cell.cell_rate) == ("around", 0.25, 0.2)
    assert again.cell.cell is not cell.cell.cell


@pytest.mark.parametrize("given", [keras.layers.Dense, lambda n: n, lambda n: keras.layers.LSTMCell])
def test_what_is_no_cell_is_refused(given):
    with pytest.raises(ValueError, match="cell must be a Keras layer with a state_size"):
        CellWrapper(given(3))
