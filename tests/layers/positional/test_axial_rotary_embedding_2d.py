import keras
import numpy as np
import pytest
from keras import ops
from oracles.rotary import rotary_loop

from keras_arch.layers import AxialRotaryEmbedding2D

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def by_cell(x, cells, interleaved, base=100.0):
    """Each token (T, N, H) turned alone: its pairs in two halves, by the row and by the column."""
    size = x.shape[-1]
    out = np.zeros(x.shape)
    for t, (row, column) in enumerate(cells):
        waves = [base ** (-np.longdouble(4 * i) / size) for i in range(size // 4)]
        angles = [row * f for f in waves] + [column * f for f in waves]
        out[t] = rotary_loop(x[t : t + 1], [1], angles, interleaved)[0]
    return out


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("prefix", [0, 1])
def test_tokens_turn_by_row_and_column(rng, interleaved, prefix):
    x = rng.standard_normal((1, 6 + prefix, 2, 8)).astype("float32")
    layer = AxialRotaryEmbedding2D((2, 3), interleaved=interleaved, num_prefix_tokens=prefix)
    cells = [(0, 0)] * prefix + [(r, c) for r in range(2) for c in range(3)]
    got = values(layer(x))
    np.testing.assert_allclose(got[0], by_cell(x[0], cells, interleaved), atol=5e-7)
    np.testing.assert_array_equal(got[:, :prefix], x[:, :prefix])
    assert not layer.depends_on_length


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_far_tokens_are_the_truth_within_one_unit_in_the_last_place(rng, dtype):
    positions = np.arange(999_990, 1_000_000)
    x = ops.cast(rng.standard_normal((1, 10, 2, 8)), dtype)
    got = values(AxialRotaryEmbedding2D((1000, 1000), dtype=dtype)(x, positions=positions))[0]
    wanted = by_cell(values(x)[0], [divmod(int(p), 1000) for p in positions], False)
    epsilon, smallest = (2.0**-10, 2.0**-14) if dtype == "float16" else (2.0**-7, 2.0**-126)
    unit = np.exp2(np.floor(np.log2(np.maximum(np.abs(wanted), smallest)))) * epsilon
    assert (np.abs(got - wanted) / unit).max() <= 1.0


def test_scores_depend_on_the_offset_in_rows_and_columns_only(rng):
    query, key = rng.standard_normal((2, 1, 1, 1, 8)).astype("float32")
    layer, scores = AxialRotaryEmbedding2D((5, 7)), {}
    for row in range(4):
        for column in range(5):
            turned = [
                layer(one, positions=np.array([r * 7 + c]))
                for one, r, c in ((query, row + 1, column), (key, row, column + 2))
            ]
            scores[row, column] = float(ops.sum(turned[0] * turned[1]))
    np.testing.assert_allclose(list(scores.values()), scores[0, 0], atol=2e-6)


def test_parts_of_an_image_equal_the_whole_and_the_rest_stays_untouched(rng):
    layer, x = AxialRotaryEmbedding2D((2, 3), rotary_dim=4), rng.standard_normal((2, 6, 2, 6)).astype("float32")
    whole = values(layer(x))
    np.testing.assert_array_equal(whole[..., 4:], x[..., 4:])
    np.testing.assert_allclose(values(layer(x[:, 2:5], start_index=2, length=6)), whole[:, 2:5], atol=5e-7)
    np.testing.assert_allclose(values(layer(x[:, :2], positions=np.arange(2))), whole[:, :2], atol=5e-7)
    each = np.array([[4, 1], [0, 5]])
    second = values(layer(x[1:, :2], positions=each[1]))
    np.testing.assert_allclose(values(layer(x[:, :2], positions=each))[1:], second, atol=5e-7)


@pytest.mark.oracle
def test_interleaved_rotation_is_a_product_of_complex_numbers(rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    x = rng.standard_normal((1, 12, 2, 16)).astype("float32")
    t = torch.arange(12, dtype=torch.float64)
    frequencies = 100.0 ** -(torch.arange(0, 16, 4, dtype=torch.float64) / 16)
    angles = torch.cat([torch.outer(t // 4, frequencies), torch.outer(t % 4, frequencies)], -1)
    turned = torch.view_as_complex(torch.tensor(x).double().reshape(1, 12, 2, 8, 2))
    turned = torch.view_as_real(turned * torch.polar(torch.ones_like(angles), angles)[:, None]).flatten(-2)
    got = values(AxialRotaryEmbedding2D((3, 4), interleaved=True)(x))
    np.testing.assert_allclose(got, turned.numpy(), atol=5e-7)


@pytest.mark.parametrize(
    ("arguments", "shape", "call", "message"),
    [
        ({"grid_size": 4}, (1, 4, 4), {}, r"grid_size must be a pair \(rows, columns\)"),
        ({"grid_size": (2, 2), "rotary_dim": 6}, (1, 4, 8), {}, "rotary_dim must be a multiple of 4.*Use 4 or 8"),
        ({"grid_size": (2, 2)}, (1, 4, 6), {}, "features per head must be a multiple of 4"),
        ({"grid_size": (2, 2)}, (1, 3, 4), {}, r"inputs must have 4 tokens for grid_size=\(2, 2\).*received inputs=3"),
        ({"grid_size": (2, 2), "num_prefix_tokens": 1}, (1, 4, 4), {}, "must have 5 tokens .*num_prefix_tokens=1"),
        ({"grid_size": (2, 2)}, (1, 3, 4), {"start_index": 2}, "received inputs=5"),
        ({"grid_size": (2, 2), "num_prefix_tokens": -1}, (1, 4, 4), {}, "num_prefix_tokens must be an integer >= 0"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, shape, call, message):
    with pytest.raises(ValueError, match=message):
        AxialRotaryEmbedding2D(**arguments)(np.zeros(shape, "float32"), **call)


def test_unknown_number_of_tokens_in_a_functional_model(rng):
    inputs, layer = keras.Input((None, 2, 4)), AxialRotaryEmbedding2D((2, 3))
    x = rng.standard_normal((2, 6, 2, 4)).astype("float32")
    got = keras.Model(inputs, layer(inputs)).predict(x, verbose=0)
    np.testing.assert_allclose(got, values(layer(x)), atol=1e-6)
