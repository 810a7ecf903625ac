"""A report of pruning as TensorBoard's own provider reads it back."""

import base64
import math

import numpy as np
import pytest
from tensorboard.context import RequestContext
from tensorboard.data.provider import RunTagFilter

from keras_arch.compression import LayerSparsity, SparsityReport
from keras_arch.tensorboard import EventWriter, write_sparsity
from keras_arch.tensorboard.reader import Reader

CONV = LayerSparsity("conv", "kernel", (3, 3, 1, 8), size=72, zeros=54, positions=100)
HEAD = LayerSparsity("head", "kernel", (8, 10), size=80, zeros=20, positions=1)
OWN = LayerSparsity("own", "weight", (4,), size=4, zeros=1)  # nobody knows how often it is multiplied
REPORT = SparsityReport((CONV, HEAD, OWN), parameters=174, bytes_raw=696, bytes_gzip=None)


@pytest.fixture
def scalars(tmp_path, provider):
    """() -> tag to {step: value}."""

    def read():
        where = {"experiment_id": "", "plugin_name": "scalars", "run_tag_filter": RunTagFilter(["."])}
        found = provider(tmp_path).read_scalars(RequestContext(), downsample=10, **where)["."]
        return {tag: {datum.step: datum.value for datum in data} for tag, data in found.items()}

    return read


@pytest.fixture
def vector(tmp_path, provider):
    """tag -> names, unit, steps, array (s, n)."""

    def read(tag):
        answer = Reader(provider(tmp_path)).vector(RequestContext(), "", ".", tag)
        values = np.frombuffer(base64.b64decode(answer["values"]), "<f4").reshape(-1, len(answer["names"]))
        return answer["names"], answer["unit"], answer["steps"], values

    return read


def test_each_quantity_is_one_vector_a_step(tmp_path, vector):
    later = SparsityReport((HEAD, HEAD, OWN), 174, 696, None)
    with EventWriter(tmp_path) as writer:
        write_sparsity(writer, REPORT, step=10)
        with pytest.raises(ValueError, match="names"):
            write_sparsity(writer, later, step=20)
        write_sparsity(writer, REPORT, step=30)
    names = ["conv/kernel", "head/kernel", "own/weight"]
    rows = {"sparsity": [0.75, 0.25, 0.25], "parameters_left": [18, 60, 3], "flops_left": [3600, 120, math.nan]}
    units = {"sparsity": "", "parameters_left": "parameters", "flops_left": "FLOPs"}
    for tag, row in rows.items():
        found = vector(tag)
        assert found[:3] == (names, units[tag], [10, 30])
        np.testing.assert_array_equal(found[3], np.float32([row, row]))


def test_totals_are_scalars(tmp_path, scalars):
    with EventWriter(tmp_path) as writer:
        write_sparsity(writer, REPORT, step=10)
    found = scalars()
    assert found.pop("sparsity/total") == {10: pytest.approx(75 / 156)}
    assert found == {
        "parameters_left/total": {10: 174 - 75},
        "flops_left/total": {10: 3720},
        "bytes/raw": {10: 696},
    }


def test_gzipped_bytes_are_written_where_they_were_counted(tmp_path, scalars):
    with EventWriter(tmp_path) as writer:
        write_sparsity(writer, SparsityReport((CONV,), 174, 696, bytes_gzip=123), step=0)
    assert scalars()["bytes/gzipped"] == {0: 123}


def test_operations_that_are_not_known_leave_no_trace(tmp_path, scalars):
    with EventWriter(tmp_path) as writer:
        write_sparsity(writer, SparsityReport((OWN,), 4, 16, None), step=0)
    assert not any("flops" in tag for tag in scalars())
