"""The layer-normalized LSTM cell inside Keras's RNN machinery, against loops, Keras's and PyTorch's LSTM."""

import itertools
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops
from oracles.lstm import layer_norm_lstm

from keras_arch.layers import LayerNormLSTMCell

pytestmark = pytest.mark.backend

BATCH, LENGTH, FEATURES, UNITS = 2, 4, 3, 3
EPSILON = 1e-2
# JAX compiles each loop of an eager call anew, seconds at a time: there, tests that are not about loops unroll them,
# and what runs more than one step is compiled whole.
ON_JAX = keras.backend.backend() == "jax"
ROOT = pathlib.Path(__file__).resolve().parents[3]


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def random_weights(rng, features=FEATURES, units=UNITS):
    shapes = [(features, 4 * units), (units, 4 * units)] + [(4 * units,)] * 5 + [(units,)] * 2
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def rnn(weights=None, cell_arguments=(), features=FEATURES, unroll=ON_JAX, **arguments):
    cell = LayerNormLSTMCell(UNITS, norm_epsilon=EPSILON, **dict(cell_arguments))
    layer = keras.layers.RNN(cell, return_sequences=True, unroll=unroll, **arguments)
    layer.build((BATCH, None, features))
    if weights is not None:
        layer.set_weights(weights)
    return layer


@pytest.fixture
def x(rng):
    return rng.normal(size=(BATCH, LENGTH, FEATURES)).astype("float32")


@pytest.fixture
def weights(rng):
    return random_weights(rng)


@pytest.mark.parametrize("unroll", [False, True])
def test_outputs_and_states_equal_the_loop(x, weights, unroll):
    outputs, h, c = rnn(weights, return_state=True, unroll=unroll)(x)
    for got, expected in zip((outputs, h, c), layer_norm_lstm(x, weights, EPSILON), strict=True):
        np.testing.assert_allclose(numpy(got), expected, rtol=2e-4, atol=1e-5)


def test_weights_without_bias_and_with_an_initial_state(rng, x, weights):
    h, c = rng.normal(size=(2, BATCH, UNITS)).astype("float32")
    layer = rnn([w for i, w in enumerate(weights) if i != 2], {"use_bias": False})
    expected = layer_norm_lstm(x, [*weights[:2], np.zeros(4 * UNITS), *weights[3:]], EPSILON, h, c)[0]
    got = layer(x, initial_state=[ops.convert_to_tensor(h), ops.convert_to_tensor(c)])
    np.testing.assert_allclose(numpy(got), expected, rtol=2e-4, atol=1e-5)


def test_masked_steps_keep_the_state(x, weights):
    mask = np.array([[True, False, True, True], [False, True, True, False]])
    expected = layer_norm_lstm(x, weights, EPSILON, mask=mask)[0]
    got = numpy(rnn(weights)(x, mask=ops.convert_to_tensor(mask)))
    np.testing.assert_allclose(got[mask], expected[mask], rtol=2e-4, atol=1e-5)
    disturbed = np.where(mask[..., None], x, 100.0).astype("float32")
    np.testing.assert_array_equal(numpy(rnn(weights)(disturbed, mask=ops.convert_to_tensor(mask)))[mask], got[mask])


def test_go_backwards_reads_the_reversed_sequence(x, weights):
    expected = layer_norm_lstm(x[:, ::-1], weights, EPSILON)[0]
    np.testing.assert_allclose(numpy(rnn(weights, go_backwards=True)(x)), expected, rtol=2e-4, atol=1e-5)


def test_bidirectional_is_a_forward_and_a_backward_pass(rng, x, weights):
    backward = random_weights(rng)
    layer = keras.layers.Bidirectional(rnn())
    layer.build(x.shape)
    layer.set_weights([*weights, *backward])
    expected = np.concatenate(
        [layer_norm_lstm(x, weights, EPSILON)[0], layer_norm_lstm(x[:, ::-1], backward, EPSILON)[0][:, ::-1]], axis=-1
    )
    np.testing.assert_allclose(numpy(layer(x)), expected, rtol=2e-4, atol=1e-5)


def test_stacked_cells_are_one_loop_after_the_other(rng, x, weights):
    upper = random_weights(rng, features=UNITS)
    cells = [LayerNormLSTMCell(UNITS, norm_epsilon=EPSILON) for _ in range(2)]
    layer = keras.layers.RNN(keras.layers.StackedRNNCells(cells), return_sequences=True, unroll=ON_JAX)
    layer.build(x.shape)
    layer.set_weights([*weights, *upper])
    expected = layer_norm_lstm(layer_norm_lstm(x, weights, EPSILON)[0], upper, EPSILON)[0]
    np.testing.assert_allclose(numpy(layer(x)), expected, rtol=2e-4, atol=1e-5)


def test_stateful_halves_are_the_whole(x, weights):
    layer = rnn(weights, stateful=True)
    halves = np.concatenate([numpy(layer(x[:, :2])), numpy(layer(x[:, 2:]))], axis=1)
    np.testing.assert_allclose(halves, numpy(rnn(weights)(x)), rtol=1e-5, atol=1e-6)
    layer.reset_state()
    np.testing.assert_allclose(numpy(layer(x[:, :2])), halves[:, :2], rtol=1e-6)


def test_a_compiled_model_takes_any_length(rng, weights):
    inputs = keras.Input((None, FEATURES))
    model = keras.Model(inputs, rnn(weights, unroll=False)(inputs))
    assert model.output_shape == (None, None, UNITS)
    model.compile(jit_compile=ON_JAX)
    for length in (1, 5):
        x = rng.normal(size=(BATCH, length, FEATURES)).astype("float32")
        expected = layer_norm_lstm(x, weights, EPSILON)[0]
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=2e-4, atol=1e-5)


class Training(keras.Model):
    """Calls its layer in training mode, so that `predict` shows what a compiled training step computes."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs, training=True)


@pytest.mark.parametrize(("mode", "unroll"), [("eager", ON_JAX), ("eager", True), ("compiled", False)])
def test_dropout_is_one_mask_for_all_steps_and_gates(x, weights, mode, unroll):
    layer = rnn(weights, {"dropout": 0.5, "recurrent_dropout": 0.5, "seed": 1}, unroll=unroll)
    model = Training(layer)
    model.compile(jit_compile=ON_JAX)

    def run():
        return model.predict(x, verbose=0) if mode == "compiled" else numpy(model(x))

    masks = [2.0 * np.array(bits) for bits in itertools.product([0, 1], repeat=3)]  # 3 features, 3 units
    found = []
    for got in (run(), run()):
        for n in range(BATCH):
            fits = [
                (tuple(drop_x), tuple(drop_h))
                for drop_x, drop_h in itertools.product(masks, masks)
                if np.allclose(
                    got[n], layer_norm_lstm(x[n : n + 1] * drop_x, weights, EPSILON, drop=drop_h)[0][0], atol=1e-4
                )
            ]
            assert fits, f"no constant pair of masks explains sample {n}"
            found.append(fits[0])
    assert len(set(found)) > 1, "samples and calls share one mask"


def test_dropout_acts_in_training_only(x, weights):
    layer = rnn(weights, {"dropout": 0.5, "recurrent_dropout": 0.5})
    np.testing.assert_allclose(numpy(layer(x, training=False)), numpy(rnn(weights)(x)), rtol=1e-6)
    assert np.abs(numpy(layer(x, training=True)) - numpy(rnn(weights)(x))).max() > 1e-2


def test_a_seed_fixes_the_masks(x, weights):
    def run(seed):
        return numpy(rnn(weights, {"dropout": 0.5, "recurrent_dropout": 0.5, "seed": seed})(x, training=True))

    np.testing.assert_array_equal(run(3), run(3))
    assert np.abs(run(3) - run(4)).max() > 1e-3


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 4e-3), ("bfloat16", 3e-2)])
def test_mixed_precision_stays_near_float32(rng, x, dtype, tolerance):
    weights = [w * 0.5 for w in random_weights(rng)]
    layer = keras.layers.RNN(
        LayerNormLSTMCell(UNITS, dtype=f"mixed_{dtype}"), return_sequences=True, dtype=f"mixed_{dtype}", unroll=ON_JAX
    )
    layer.build(x.shape)
    layer.set_weights(weights)
    got = layer(x)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    expected = layer_norm_lstm(x, weights, 1e-3)[0]
    np.testing.assert_allclose(numpy(ops.cast(got, "float32")), expected, atol=tolerance)
    large = numpy(ops.cast(layer(3000 * x), "float32"))  # x W around 5000: its squares overflow in float16
    np.testing.assert_allclose(large, layer_norm_lstm(3000 * x, weights, 1e-3)[0], atol=tolerance)


def gradient(model, x, y):
    """Weights before a step of plain gradient descent minus weights after it: the gradient, on any backend."""
    before = model.get_weights()
    model.train_on_batch(x, y)
    after = model.get_weights()
    model.set_weights(before)
    return [old.astype("float64") - new for old, new in zip(before, after, strict=True)]


def test_gradients_equal_finite_differences(rng, x, weights):
    y = rng.normal(size=(BATCH, LENGTH, UNITS)).astype("float32")
    model = keras.Sequential([keras.Input((LENGTH, FEATURES)), rnn(weights)])
    model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=keras.backend.backend() == "tensorflow")
    got = gradient(model, x, y)
    direction = [rng.normal(size=w.shape) for w in weights]
    h = 1e-4

    def loss(step):
        moved = [w + step * d for w, d in zip(weights, direction, strict=True)]
        return ((layer_norm_lstm(x, moved, EPSILON)[0] - y) ** 2).mean()

    expected = (loss(h) - loss(-h)) / (2 * h)
    assert sum((g * d).sum() for g, d in zip(got, direction, strict=True)) == pytest.approx(expected, rel=1e-3)


def linear_limit_weights(rng, units):
    """Weights of an LSTM with 2 N units whose norms change nothing as epsilon grows, and those of its half.

    With gamma = sqrt(epsilon), norm(v) → v − mean(v). Mirroring the units, with opposite candidates, makes the carry's
    mean zero; taking the mean over the columns off W and U makes that of the products zero.
    """
    halves = [rng.normal(size=(rows, 4 * units)) * 0.5 for rows in (FEATURES, units)]
    doubled = []
    for half in halves:
        enter, keep, candidate, leave = np.split(half, 4, axis=1)
        leave -= (enter + keep + leave).mean(axis=1, keepdims=True)
        doubled.append(np.concatenate([enter, enter, keep, keep, candidate, -candidate, leave, leave], axis=1))
    kernel, recurrent = doubled
    recurrent = np.concatenate([recurrent, np.zeros_like(recurrent)])
    bias = rng.normal(size=4 * units)
    enter, keep, candidate, leave = np.split(bias, 4)
    doubled_bias = np.concatenate([enter, enter, keep, keep, candidate, -candidate, leave, leave])
    return [kernel, recurrent, doubled_bias], [*halves, bias]


@pytest.fixture
def linear_limit(rng, x):
    """Outputs of this cell where its norms do nothing, and the weights of the plain LSTM they must equal."""
    units, epsilon = 2, 1e6
    doubled, plain = linear_limit_weights(rng, units)
    gain = epsilon**0.5
    norms = [np.full(8 * units, gain), np.zeros(8 * units)] * 2 + [np.full(2 * units, gain), np.zeros(2 * units)]
    layer = keras.layers.RNN(LayerNormLSTMCell(2 * units, norm_epsilon=epsilon), return_sequences=True, unroll=ON_JAX)
    layer.build(x.shape)
    layer.set_weights([*doubled, *norms])
    return numpy(layer(x))[..., :units], plain


def test_where_the_norms_do_nothing_it_is_the_lstm_of_keras(x, linear_limit):
    got, plain = linear_limit
    layer = keras.layers.RNN(keras.layers.LSTMCell(2), return_sequences=True, unroll=ON_JAX)
    layer.build(x.shape)
    layer.set_weights(plain)
    np.testing.assert_allclose(got, numpy(layer(x)), atol=2e-5)


@pytest.mark.oracle
def test_where_the_norms_do_nothing_it_is_the_lstm_of_torch(x, linear_limit):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    got, (kernel, recurrent, bias) = linear_limit
    lstm = torch.nn.LSTM(FEATURES, 2, batch_first=True)
    with torch.no_grad():
        for parameter, value in [
            (lstm.weight_ih_l0, kernel.T),
            (lstm.weight_hh_l0, recurrent.T),
            (lstm.bias_ih_l0, bias),
        ]:
            parameter.copy_(torch.tensor(value))
        lstm.bias_hh_l0.zero_()
        expected = lstm(torch.tensor(x))[0].numpy()
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_regularizers_constraints_and_initializers_reach_their_weights():
    cell = LayerNormLSTMCell(
        2,
        kernel_initializer="ones",
        recurrent_initializer="ones",
        kernel_regularizer=keras.regularizers.L1(1.0),
        recurrent_regularizer=keras.regularizers.L1(10.0),
        bias_regularizer=keras.regularizers.L1(100.0),
        kernel_constraint="non_neg",
        recurrent_constraint="non_neg",
        bias_constraint="non_neg",
        norm_gamma_initializer=keras.initializers.Constant(3.0),
        norm_beta_initializer=keras.initializers.Constant(4.0),
    )
    keras.layers.RNN(cell, unroll=ON_JAX)(np.ones((1, 2, 3), "float32"))
    assert [float(numpy(loss)) for loss in cell.losses] == [24.0, 160.0, 200.0]
    np.testing.assert_array_equal(numpy(cell.bias), [0, 0, 1, 1, 0, 0, 0, 0])
    assert all(w.constraint is not None for w in (cell.kernel, cell.recurrent_kernel, cell.bias))
    for norm, size in ((cell.kernel_norm, 8), (cell.recurrent_norm, 8), (cell.state_norm, 2)):
        np.testing.assert_array_equal(numpy(norm.gamma), np.full(size, 3.0))
        np.testing.assert_array_equal(numpy(norm.beta), np.full(size, 4.0))


def test_states_and_outputs_are_described_as_keras_wants():
    cell = LayerNormLSTMCell(5, dtype="mixed_bfloat16")
    assert (cell.state_size, cell.output_size) == ([5, 5], 5)
    assert [(tuple(s.shape), keras.backend.standardize_dtype(s.dtype)) for s in cell.get_initial_state(3)] == [
        ((3, 5), "bfloat16")
    ] * 2
    output, states = cell(ops.ones((3, 2)), cell.get_initial_state(3))
    assert {keras.backend.standardize_dtype(tensor.dtype) for tensor in (output, *states)} == {"bfloat16"}


EVERY_ARGUMENT = {
    "units": 3,
    "activation": "relu",
    "recurrent_activation": "hard_sigmoid",
    "use_bias": True,
    "kernel_initializer": keras.initializers.HeNormal(seed=1),
    "recurrent_initializer": "identity",
    "bias_initializer": "ones",
    "unit_forget_bias": False,
    "kernel_regularizer": "l1",
    "recurrent_regularizer": "l2",
    "bias_regularizer": keras.regularizers.L1L2(0.1, 0.2),
    "kernel_constraint": "NonNeg",
    "recurrent_constraint": "UnitNorm",
    "bias_constraint": "MaxNorm",
    "dropout": 0.1,
    "recurrent_dropout": 0.2,
    "seed": 9,
    "norm_gamma_initializer": keras.initializers.Constant(2.0),
    "norm_beta_initializer": keras.initializers.Constant(-1.0),
    "norm_epsilon": 0.1,
}


def test_config_holds_every_argument():
    config = LayerNormLSTMCell(**EVERY_ARGUMENT, name="cell").get_config()
    again = LayerNormLSTMCell.from_config(config)
    assert again.get_config() == config
    for argument, value in EVERY_ARGUMENT.items():
        if isinstance(value, int | float | bool):
            assert config[argument] == getattr(again, argument) == value
    assert again.activation is keras.activations.relu
    assert again.norm_beta_initializer.value == -1.0
    assert again.kernel_initializer.seed == 1
    assert type(again.bias_constraint) is keras.constraints.MaxNorm


def test_a_fresh_process_loads_the_model(tmp_path, x):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the file is the same on every backend")
    cell = LayerNormLSTMCell(UNITS, dropout=0.1, recurrent_dropout=0.1, norm_epsilon=EPSILON)
    stack = keras.layers.StackedRNNCells([LayerNormLSTMCell(2), LayerNormLSTMCell(2)])
    model = keras.Sequential(
        [
            keras.Input((LENGTH, FEATURES)),
            keras.layers.Bidirectional(keras.layers.RNN(cell, return_sequences=True)),
            keras.layers.RNN(stack),
        ]
    )
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    script = (
        "import sys, keras, numpy as np, keras_arch.layers\n"
        "folder = sys.argv[1]\n"
        "model = keras.saving.load_model(folder + '/model.keras')\n"
        "x = np.load(folder + '/x.npy')\n"
        "np.save(folder + '/y.npy', keras.ops.convert_to_numpy(model(x)))\n"
    )
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env={**os.environ, "PYTHONPATH": paths})
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), numpy(model(x)))


def test_it_learns_in_a_compiled_fit(rng):
    x = rng.normal(size=(64, 6, 2)).astype("float32")
    y = x[:, 0, :1]  # the first value, to be remembered over six steps
    cell = LayerNormLSTMCell(16, dropout=0.05, recurrent_dropout=0.05, seed=0)
    model = keras.Sequential([keras.Input((6, 2)), keras.layers.RNN(cell), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=ON_JAX)
    losses = model.fit(x, y, epochs=12, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be an integer >= 1; received units=0"),
        ({"units": 2.0}, "units must be an integer >= 1; received units=2.0"),
        ({"units": 2, "dropout": 1.0}, r"dropout must be a number in \[0, 1\); received dropout=1.0"),
        ({"units": 2, "recurrent_dropout": -0.1}, r"recurrent_dropout must be a number in \[0, 1\)"),
        ({"units": 2, "norm_epsilon": 0}, r"norm_epsilon must be a number in \(0, inf\)"),
    ],
)
def test_bad_arguments_raise_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        LayerNormLSTMCell(**arguments)
