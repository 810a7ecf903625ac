"""The report's numbers, counted by hand."""

import gzip
import json

import keras
import numpy as np
import pytest
from keras import layers

from keras_arch.compression import LayerSparsity, SparsityReport, prune, sparsity_report
from keras_arch.compression import report as report_module
from keras_arch.compression.report import measure, recount
from keras_arch.compression.scope import select

pytestmark = pytest.mark.backend


def model():
    return keras.Sequential(
        [keras.Input((10,)), layers.Dense(20, name="body"), layers.BatchNormalization(), layers.Dense(5, name="head")]
    )


def test_rows_and_totals():
    network = model()
    prune(network, 0.25, targets=["body"])
    report = sparsity_report(network)
    assert report.layers == (
        LayerSparsity("body", "kernel", (10, 20), 200, 50, 1),
        LayerSparsity("head", "kernel", (20, 5), 100, 0, 1),
    )
    assert (report.zeros, report.size, report.sparsity) == (50, 300, 50 / 300)
    assert report.parameters == network.count_params() == 405
    assert report.layers[0].sparsity == 0.25


def test_bytes_are_those_of_the_weights_and_zeros_compress():
    network = model()
    dense = sparsity_report(network)
    raw = b"".join(np.ascontiguousarray(weight).tobytes() for weight in network.get_weights())
    assert dense.bytes_raw == len(raw) == 4 * 405
    assert abs(dense.bytes_gzip - len(gzip.compress(raw, 6))) <= 64
    assert prune(network, 0.8).bytes_gzip < 0.6 * dense.bytes_gzip


def test_compressing_is_a_choice_and_goes_in_pieces(monkeypatch):
    network = model()
    assert sparsity_report(network, gzip=False).bytes_gzip is None
    assert "gzipped" not in str(sparsity_report(network, gzip=False))
    monkeypatch.setattr(report_module, "PIECE", 100)
    raw = b"".join(np.ascontiguousarray(weight).tobytes() for weight in network.get_weights())
    pieces = [gzip.compress(raw[start : start + 100], 6) for start in range(0, len(raw), 100)]
    assert abs(sparsity_report(network).bytes_gzip - sum(map(len, pieces))) <= 64 + 2 * len(pieces)


def test_half_precision_weights_take_half_the_bytes():
    network = keras.Sequential([keras.Input((10,)), layers.Dense(20, dtype="bfloat16")])
    assert sparsity_report(network).bytes_raw == 2 * 220


def test_the_table_is_aligned_and_the_dict_is_json():
    report = SparsityReport((LayerSparsity("a/long/path", "kernel", (10, 200), 2000, 1600, 3),), 2010, 8040, 1234)
    assert str(report).splitlines() == [
        "layer        weight  shape       size  zeros  sparsity   FLOPs",
        "a/long/path  kernel  (10, 200)  2,000  1,600    80.0 %  12,000",
        "total                           2,000  1,600    80.0 %  12,000",
        "2,010 parameters, 8,040 bytes, 1,234 bytes gzipped, 2,400 of 12,000 FLOPs without zeros",
    ]
    read = json.loads(json.dumps(report.to_dict()))
    assert read["layers"][0] == {
        "path": "a/long/path",
        "weight": "kernel",
        "shape": [10, 200],
        "size": 2000,
        "zeros": 1600,
        "sparsity": 0.8,
        "parameters_left": 400,
        "flops": 12000,
        "flops_left": 2400,
    }
    assert (read["sparsity"], read["parameters_left"], read["bytes_gzip"]) == (0.8, 410, 1234)


def test_counting_again_is_measuring_again():
    network = model()
    targets = select(network)
    dense = measure(network, targets, gzip=False)
    prune(network, 0.5)
    assert recount(dense, targets) == measure(network, targets, gzip=False)
    assert recount(dense, targets).zeros == 150
    assert recount(measure(network, targets), targets).bytes_gzip is None
    with pytest.raises(ValueError):
        recount(dense, targets[:1])


def test_a_report_draws_itself():
    assert sparsity_report(model()).plot(title="mine").get_title() == "mine"


def test_a_report_is_frozen():
    with pytest.raises(AttributeError):
        sparsity_report(model()).parameters = 3
