"""The clustering report: its numbers, by closed form, and how it prints."""

import json
import zlib

import keras
import numpy as np
import pytest
from keras import layers

from keras_arch import compression

pytestmark = pytest.mark.backend


def network():
    return keras.Sequential([keras.Input((32,)), layers.Dense(24, name="body"), layers.Dense(3, name="head")])


@pytest.mark.parametrize(
    ("values", "bits"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (16, 4), (17, 5), (256, 8), (257, 9)]
)
def test_bits_are_those_of_an_index(values, bits):
    row = compression.LayerClusters("path", "kernel", (100, 11), values, None, 4400)
    assert (row.bits, row.bytes_coded) == (bits, -(-1100 * bits // 8) + 4 * values)


def test_sizes_are_those_of_the_bytes():
    model = network()
    report = compression.cluster(model, 16)
    kernels = [model.get_layer(name).kernel.numpy() for name in ("body", "head")]
    assert [row.bytes_raw for row in report.layers] == [32 * 24 * 4, 24 * 3 * 4]
    for row, kernel in zip(report.layers, kernels, strict=True):
        packed = zlib.compressobj(6, wbits=31)
        assert row.bytes_gzip == len(packed.compress(kernel.tobytes()) + packed.flush())
    coded = 32 * 24 // 2 + 64 + 24 * 3 // 2 + 64
    assert (report.parameters, report.bytes_raw) == (867, 867 * 4)
    assert report.bytes_coded == coded + (24 + 3) * 4


def test_clustering_makes_the_gzipped_bytes_fewer():
    model = network()
    before = compression.clustering_report(model)
    after = compression.cluster(model, 16)
    assert before.layers[0].values > 700
    assert (before.bytes_gzip, before.bytes_raw) > (3000, 3467)
    assert after.bytes_gzip < 0.35 * before.bytes_gzip
    assert after.bytes_coded < 0.2 * after.bytes_raw


def test_the_error_is_the_mean_square_over_all_numbers():
    model = network()
    before = [model.get_layer(name).kernel.numpy().copy() for name in ("body", "head")]
    report = compression.cluster(model, 4)
    after = [model.get_layer(name).kernel.numpy() for name in ("body", "head")]
    squares = [np.square(left - right, dtype="float64") for left, right in zip(before, after, strict=True)]
    np.testing.assert_allclose([row.error for row in report.layers], [square.mean() for square in squares], rtol=1e-4)
    assert report.error == pytest.approx(np.concatenate([square.ravel() for square in squares]).mean(), rel=1e-4)


def test_of_a_model_from_a_file_the_error_is_not_known(tmp_path):
    model = network()
    compression.cluster(model, 8)
    model.save(tmp_path / "clustered.keras")
    report = compression.clustering_report(keras.saving.load_model(tmp_path / "clustered.keras"), gzip=False)
    assert [(row.values, row.error, row.bytes_gzip) for row in report.layers] == [(8, None, None)] * 2
    assert (report.error, report.bytes_gzip) == (None, None)
    assert str(report).splitlines()[1].split()[-7:] == ["768", "8", "3", "-", "3,072", "-", "320"]


def test_it_prints_and_goes_into_json():
    report = compression.cluster(network(), 16)
    lines = str(report).splitlines()
    assert lines[0].split()[3:] == ["size", "values", "bits", "error", "bytes", "gzipped", "coded"]
    assert len(lines) == 5
    assert lines[3].split()[:2] == ["total", "840"]
    assert lines[4].endswith(f"{report.bytes_coded:,} bytes as indices and values")
    again = json.loads(json.dumps(report.to_dict()))
    assert again["bytes_coded"] == report.bytes_coded
    assert again["layers"][0]["shape"] == [32, 24]
    assert [row["values"] for row in again["layers"]] == [16, 16]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_types_of_two_bytes_are_counted_in_theirs(dtype):
    model = keras.Sequential([keras.Input((32,)), layers.Dense(24, dtype=dtype, use_bias=False)])
    row = compression.cluster(model, 8).layers[0]
    assert (row.values, row.bytes_raw, row.bytes_coded) == (8, 768 * 2, 768 * 3 // 8 + 16)
