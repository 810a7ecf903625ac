import numpy as np
import pytest
from keras import ops
from oracles.relative_position import t5_bucket

from keras_arch.ops.relative_buckets import bucket_of_distance, relative_buckets

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("buckets", "farthest"), [(32, 128), (6, 12), (10, 37), (4, 1000)])
def test_buckets_are_those_of_exact_logarithms(buckets, farthest, bidirectional):
    relative = np.arange(-farthest - 20, farthest + 21)
    wanted = [t5_bucket(int(r), buckets, farthest, bidirectional) for r in relative]
    assert ops.convert_to_numpy(relative_buckets(relative, buckets, farthest, bidirectional)).tolist() == wanted


def test_distances_on_an_edge_open_a_bucket():
    table = bucket_of_distance(16, 128)  # the edges are 8 * 16 ** (j / 8), whole at even j
    for step, edge in ((2, 16), (4, 32), (6, 64)):
        assert table[edge - 1] == 8 + step - 1
        assert table[edge] == 8 + step
    assert table[128] == table[127] == 15


def test_far_distances_share_the_last_bucket_of_their_direction():
    far = ops.convert_to_numpy(relative_buckets([-(2**30), -128, 128, 2**30]))
    assert far.tolist() == [15, 15, 31, 31]
    one_way = ops.convert_to_numpy(relative_buckets([-(2**30), 0, 1, 2**30], bidirectional=False))
    assert one_way.tolist() == [31, 0, 0, 0]


def test_large_tables_are_exact_and_do_not_fall():
    table = bucket_of_distance(64, 20_000)
    assert table[-1] == 63
    assert set(np.diff(table)) <= {0, 1}


@pytest.mark.oracle
@pytest.mark.parametrize("bidirectional", [False, True])
def test_buckets_are_those_of_the_program_in_float32(bidirectional):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    relative = torch.arange(-300, 301)
    buckets, offset, distance = 32, 0, (-relative).clamp(min=0)
    if bidirectional:
        buckets, offset, distance = 16, 16 * (relative > 0), relative.abs()
    exact = buckets // 2
    far = exact + (torch.log(distance.float() / exact) / np.log(128 / exact) * (buckets - exact)).long()
    wanted = offset + torch.where(distance < exact, distance, far.clamp(max=buckets - 1))
    got = ops.convert_to_numpy(relative_buckets(relative.numpy(), bidirectional=bidirectional))
    np.testing.assert_array_equal(got, wanted.numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], 7), "num_buckets must be even for two directions.*Use num_buckets=8"),
        (([0], 2), "num_buckets must be an integer >= 4"),
        (([0], 1, 8, False), "num_buckets must be an integer >= 2"),
        (([0], 32, 8), "max_distance must be an integer >= 9"),
        (([0.5],), "relative_positions must be integers; received the dtype float"),
    ],
)
def test_bad_sizes_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        relative_buckets(*arguments)
