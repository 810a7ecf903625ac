import numpy as np
import pytest
from keras import ops

from keras_arch.ops.score_layout import ScoreLayout

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(("rank", "axes"), [(4, (1,)), (5, (2,)), (5, (1,)), (5, (1, 2)), (6, (1, 3)), (5, (-2,))])
def test_equations_and_shapes_agree_with_moved_axes(rank, axes, rng):
    layout = ScoreLayout(rank, axes)
    axes = layout.axes
    query_dims = (2, 3, 4, 5)[: rank - 2]
    key_dims = tuple(n + 1 if axis in axes else n for axis, n in enumerate(query_dims))
    query, key = rng.standard_normal((*query_dims, 2, 3)), rng.standard_normal((*key_dims, 2, 3))
    batch = [axis for axis in range(rank - 2) if axis not in axes]
    flat = [
        x.transpose(*batch, rank - 2, *axes, rank - 1).reshape(*(query_dims[a] for a in batch), 2, -1, 3)
        for x in (query, key)
    ]  # (batch axes, N, T, H): attention over one flattened axis
    expected_scores = flat[0] @ np.swapaxes(flat[1], -1, -2)
    expected_output = expected_scores @ flat[1]

    scores = np.einsum(layout.products[0], query, key)
    assert scores.shape == layout.scores((*query_dims, 7), (*key_dims, 7), heads=2)
    np.testing.assert_allclose(scores.reshape(expected_scores.shape), expected_scores)
    output = np.einsum(layout.products[1], scores, key)
    output = output.transpose(*batch, rank - 2, *axes, rank - 1).reshape(expected_output.shape)
    np.testing.assert_allclose(output, expected_output)


def test_masks_line_up_with_scores_of_the_middle_axis(rng):
    layout = ScoreLayout(5, (1,))  # input (B, T, X, D) -> scores (B, X, N, T, S)
    query_mask, key_mask = rng.random((2, 3, 4)) < 0.5, rng.random((2, 5, 4)) < 0.5
    by_query = ops.convert_to_numpy(layout.query_mask(query_mask))
    by_key = ops.convert_to_numpy(layout.key_mask(key_mask))
    assert by_query.shape == (2, 4, 1, 3, 1)
    assert by_key.shape == (2, 4, 1, 1, 5)
    for b, t, x in np.ndindex(2, 3, 4):
        assert by_query[b, x, 0, t, 0] == query_mask[b, t, x]
    for b, s, x in np.ndindex(2, 5, 4):
        assert by_key[b, x, 0, 0, s] == key_mask[b, s, x]
    short = ops.convert_to_numpy(layout.query_mask(query_mask[:, :, 0]))
    assert short.shape == (2, 1, 1, 3, 1)


def test_rows_go_back_to_the_layout_of_the_output(rng):
    layout = ScoreLayout(5, (1,))
    per_query = rng.random((2, 4, 6, 3, 1)).astype("float32")  # (B, X, N, T, 1)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layout.rows(per_query))[..., 0], per_query[..., 0].transpose(0, 3, 1, 2)
    )


@pytest.mark.parametrize(
    ("shape", "expected"), [((3, 5), (1, 1, 3, 5)), ((2, 3, 5), (2, 1, 3, 5)), ((2, 4, 3, 5), (2, 4, 3, 5))]
)
def test_attention_masks_lack_heads_first(shape, expected):
    assert tuple(ScoreLayout(4, (1,)).attention_mask(np.ones(shape, "bool")).shape) == expected


@pytest.mark.parametrize("axes", [(), (0,), (3,), (1, 1)])
def test_axes_must_lie_between_batch_and_features(axes):
    with pytest.raises(ValueError, match="attention_axes must be distinct axes between batch and features"):
        ScoreLayout(5, axes)
