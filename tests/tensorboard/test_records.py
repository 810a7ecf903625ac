"""Checksums and records against RFC 3720, TensorBoard's Python loop and TensorFlow's reader."""

import numpy as np
import pytest
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from keras_arch.tensorboard.records import crc32c, record


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
    ],
)
def test_checksums_of_the_published_vectors(data, expected):
    assert crc32c(data) == expected


@pytest.mark.parametrize("size", [4, 5, 8, 252, 253, 255, 256, 257, 259, 260, 511, 512, 513, 5000])
def test_checksums_of_records_equal_tensorboards(size):
    data = np.random.default_rng(size).bytes(size)
    framed = record(data)
    assert framed[:8] == size.to_bytes(8, "little")
    assert int.from_bytes(framed[8:12], "little") == masked_crc32c(framed[:8])
    assert framed[12:-4] == data
    assert int.from_bytes(framed[-4:], "little") == masked_crc32c(data)
