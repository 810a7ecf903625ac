"""The closing tables show the figures they are given, each in its place."""

import io
import re

from rich.console import Console

from keras_arch.cli.demo.table import closing_table

FIGURES = {
    "float_accuracy": 0.9911,
    "pruned_accuracy": 0.9822,
    "int8_accuracy": 0.9733,
    "transformer_accuracy": 0.9644,
    "recurrent_accuracy": 0.9555,
    "sparsities": {"float": 0.0, "pruned": 0.8001, "int8": 0.8002},
    "bytes": {
        "float": {"raw": 328_000, "gzipped": 300_001},
        "pruned": {"raw": 328_002, "gzipped": 90_003},
        "int8": {"raw": 88_004, "gzipped": 30_005},
    },
    "litert_gap_steps": 0.87,
    "quantization": {"argmax_agreement": 0.9978, "int8_kernels": 1.0},
    "completeness_error": 1.25e-3,
    "seconds": {"total": 93.4},
}


def test_every_figure_stands_in_its_row():
    out = io.StringIO()
    Console(file=out, width=120).print(closing_table(FIGURES))
    rows = {
        cells[0]: cells[1:] for line in out.getvalue().splitlines() if (cells := re.split(r"\s*[│┃]\s*", line)[1:-1])
    }
    assert rows["float32"] == ["0.9911", "0.0000", "328,000", "300,001"]
    assert rows["pruned, float32"] == ["0.9822", "0.8001", "328,002", "90,003"]
    assert rows["pruned, int8 LiteRT"] == ["0.9733", "0.8002", "88,004", "30,005"]
    assert rows["Transformer accuracy"] == ["0.9644"]
    assert rows["LayerNormLSTM accuracy"] == ["0.9555"]
    assert rows["Keras to LiteRT, largest gap"] == ["0.87 quantization steps"]
    assert rows["Keras to LiteRT, same class"] == ["99.78%"]
    assert rows["int8 kernels"] == ["100%"]
    assert rows["completeness error, largest"] == ["1.25e-03"]
    assert rows["time"] == ["93 s"]
