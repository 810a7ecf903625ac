import numpy as np
import pytest
from keras import ops

from keras_arch.ops.interpolation import resize_table, rows_between, stretched

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def keys_loop(table, coordinates):
    """The cubic kernel of Keys with a = -1/2, tap by tap, the ends repeated."""
    rows = []
    for x in coordinates:
        total = np.zeros(table.shape[1:])
        for tap in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3):
            d = abs(x - tap)
            weight = 1.5 * d**3 - 2.5 * d**2 + 1 if d <= 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
            total += weight * table[min(max(tap, 0), len(table) - 1)]
        rows.append(total)
    return np.stack(rows)


def test_linear_rows_are_numpys(rng):
    table, coordinates = rng.standard_normal((5, 2)).astype("float32"), np.linspace(-1, 5, 14)
    wanted = np.stack([np.interp(coordinates, np.arange(5), table[:, d]) for d in range(2)], -1)
    np.testing.assert_allclose(values(rows_between(table, coordinates)), wanted, atol=1e-6)


def test_cubic_rows_are_those_of_the_kernel(rng):
    table, coordinates = rng.standard_normal((6, 2)).astype("float32"), np.linspace(-0.9, 5.9, 15)
    got = values(rows_between(table, coordinates, "cubic"))
    np.testing.assert_allclose(got, keys_loop(table, coordinates), atol=2e-6)


def test_cubic_gives_quadratics_and_linear_gives_lines_exactly():
    steps, between = np.arange(8, dtype="float32")[:, None], np.linspace(1, 6, 11)
    quadratic = 0.5 * steps**2 - steps
    curve, line = rows_between(quadratic, between, "cubic"), rows_between(3 * steps, between)
    np.testing.assert_allclose(values(curve)[:, 0], 0.5 * between**2 - between, atol=1e-5)
    np.testing.assert_allclose(values(line)[:, 0], 3 * between, atol=1e-5)


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_a_row_at_its_own_place_is_itself(rng, method):
    table = rng.standard_normal((5, 3)).astype("float32")
    np.testing.assert_array_equal(values(rows_between(table, np.arange(5), method)), table)
    np.testing.assert_array_equal(resize_table(table, (5,), method), table)


def test_a_table_that_is_long_enough_is_not_stretched():
    for length in (1, 6, ops.convert_to_tensor(6)):
        np.testing.assert_array_equal(values(stretched(np.arange(6), 6, length)), np.arange(6))
    np.testing.assert_allclose(values(stretched(np.arange(9), 6, 9)), (np.arange(9) + 0.5) * 6 / 9 - 0.5, atol=1e-6)


@pytest.mark.oracle
def test_linear_tables_are_resized_as_torch_resizes_images(rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    table = rng.standard_normal((3, 5, 4)).astype("float32")
    image = torch.tensor(table).permute(2, 0, 1)[None]
    wanted = torch.nn.functional.interpolate(image, size=(7, 6), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(resize_table(table, (7, 6)), wanted[0].permute(1, 2, 0).numpy(), atol=1e-6)
