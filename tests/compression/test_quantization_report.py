"""The report as text, as plain data, and its figures."""

import json

import pytest

from keras_arch.compression.quantization_report import (
    FloatOperation,
    LayerQuantization,
    LiteRTFile,
    OutputGap,
    QuantizationReport,
)

ROWS = (
    LayerQuantization("conv", 8, 8, None, None, 41.25, 1.5e-6, 0.25),
    LayerQuantization("conv/relu", None, 8, 0.0, 5.5, None, None, None),
    LayerQuantization("dense", 4, 8, -1.0, 2.0, float("inf"), 0.0, 1.0),
)
GAPS = (OutputGap("a", 0.1, 1.0, 0.25, 1.0), OutputGap("b", 0.2, 0.5, 0.3, 0.75))
FILE = LiteRTFile("m.tflite", 1000, 700, 3200, {"int8": 3, "float32": 1}, (FloatOperation("MUL", "why"),), GAPS, 0.5, 9)


def test_figures_are_the_worst_of_all_outputs():
    report = QuantizationReport(ROWS, FILE)
    assert (report.gap_steps, report.mean_gap_steps, report.argmax_agreement) == (1.0, 0.3, 0.75)
    assert (report.int8_kernels, report.all_int8) == (0.75, False)


def test_columns_of_the_table_are_aligned():
    lines = str(QuantizationReport(ROWS, FILE)).splitlines()
    table = lines[: len(ROWS) + 1]
    starts = [table[0].index(title) for title in ("weights", "activations", "range", "SQNR", "mean")]
    for line in table[1:]:
        assert all(len(line) <= start or line[start - 1] == " " for start in starts), line
    assert "[0, 5.5]" in table[2]
    text = "\n".join(lines)
    for piece in ("1 float32, 3 int8", "1000 bytes, 700 gzipped", "75.0 % of 9", "in float  MUL: why"):
        assert piece in text


def test_what_was_measured_of_activations_has_columns_of_its_own():
    assert "activations' SQNR" not in str(QuantizationReport(ROWS))
    row = LayerQuantization("head", 8, 8, 0.0, 1.0, 40.0, 1e-5, 0.1, 0.015, 33.3, 2e-4, 0.25)
    heading, first, *_, last = str(QuantizationReport((*ROWS, row))).splitlines()
    assert heading.endswith("activations' SQNR dB  mean sq. error  at ends")
    assert last.split()[-8:] == ["40.0", "1.00e-05", "1.50", "%", "33.3", "2.00e-04", "25.00", "%"]
    assert first.endswith("1.50e-06")


def test_plain_data_is_strict_json():
    plain = QuantizationReport(ROWS, FILE).to_dict()
    again = json.loads(json.dumps(plain, allow_nan=False))
    assert again == plain
    assert again["layers"][2]["sqnr_db"] is None
    assert again["file"]["outputs"][1]["argmax_agreement"] == 0.75
    assert again["gap_steps"] == 1.0


def test_figures_of_a_file_need_a_file():
    report = QuantizationReport(ROWS)
    assert "file" not in str(report)
    assert report.to_dict()["file"] is None
    for figure in ("gap_steps", "mean_gap_steps", "argmax_agreement", "int8_kernels", "all_int8"):
        with pytest.raises(ValueError, match="file must be there"):
            getattr(report, figure)
