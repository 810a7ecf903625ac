import numpy as np
import pytest
from keras import ops
from oracles.relative_position import window_bias

from keras_arch.layers import RelativePositionBias2D

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("class_token", [False, True])
def test_bias_is_the_entry_of_the_offset(class_token):
    layer = RelativePositionBias2D(2, (2, 3), class_token=class_token)
    got = values(layer(np.zeros((4, 6 + class_token, 3))))
    table = values(layer.embeddings)
    assert table.shape == (15 + 3 * class_token, 2)
    np.testing.assert_array_equal(got[0], window_bias(table, (2, 3), class_token))


def test_a_part_of_the_window_is_a_part_of_the_bias():
    layer = RelativePositionBias2D(2, (2, 3))
    whole = values(layer(np.zeros((1, 6, 3))))[0]
    queries, keys = np.array([4, 1]), np.array([5, 0, 2])
    np.testing.assert_array_equal(values(layer.between(queries, keys)), whole[:, queries][:, :, keys])
    given = layer(np.zeros((1, 2, 3)), np.zeros((1, 6, 3)), query_positions=queries)
    np.testing.assert_array_equal(values(given)[0], whole[:, queries])


@pytest.mark.oracle
def test_bias_is_that_of_the_index_of_swin():
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    layer, (h, w) = RelativePositionBias2D(2, (3, 4)), (3, 4)
    got = values(layer(np.zeros((1, 12, 3))))[0]
    cells = torch.stack(torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")).flatten(1)
    offsets = (cells[:, :, None] - cells[:, None, :]).permute(1, 2, 0)  # (hw, hw, 2)
    index = (offsets[..., 0] + h - 1) * (2 * w - 1) + offsets[..., 1] + w - 1
    table = torch.tensor(values(layer.embeddings))
    np.testing.assert_array_equal(got, table[index].permute(2, 0, 1).numpy())


def test_bad_windows_say_what_to_do():
    with pytest.raises(ValueError, match=r"window_size must be a pair \(rows, columns\)"):
        RelativePositionBias2D(2, 7)
    with pytest.raises(ValueError, match=r"query must have 6 tokens for window_size=\(2, 3\).*received query=7"):
        RelativePositionBias2D(2, (2, 3))(np.zeros((1, 7, 4)))
    with pytest.raises(ValueError, match=r"key must have 7 tokens .*class_token=True; received key=6"):
        RelativePositionBias2D(2, (2, 3), class_token=True)(np.zeros((1, 7, 4)), np.zeros((1, 6, 4)))
