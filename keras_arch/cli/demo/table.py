"""The closing tables of the demo, made from the figures measured in the run."""

from typing import Any

from rich.console import Group
from rich.table import Table

ROWS = {
    "float32": ("float_accuracy", "float"),
    "pruned, float32": ("pruned_accuracy", "pruned"),
    "pruned, int8 LiteRT": ("int8_accuracy", "int8"),
}


def closing_table(figures: dict[str, Any]) -> Group:
    """Two tables: the CNN's three versions, and everything else that was measured.

    Args:
        figures: those of a complete run, as in report.json.
    """
    versions = Table(title="CNN on 450 test digits", title_justify="left")
    versions.add_column("version")
    for name in ("accuracy", "sparsity", "bytes", "gzipped"):
        versions.add_column(name, justify="right")
    for title, (key, size) in ROWS.items():
        sparsity = figures["sparsities"][size]
        bytes_ = figures["bytes"][size]
        versions.add_row(
            title, f"{figures[key]:.4f}", f"{sparsity:.4f}", f"{bytes_['raw']:,}", f"{bytes_['gzipped']:,}"
        )
    others = Table(show_header=False)
    others.add_row("Transformer accuracy", f"{figures['transformer_accuracy']:.4f}")
    others.add_row("LayerNormLSTM accuracy", f"{figures['recurrent_accuracy']:.4f}")
    others.add_row("Keras to LiteRT, largest gap", f"{figures['litert_gap_steps']:.2f} quantization steps")
    others.add_row("Keras to LiteRT, same class", f"{figures['quantization']['argmax_agreement']:.2%}")
    others.add_row("int8 kernels", f"{figures['quantization']['int8_kernels']:.0%}")
    others.add_row("completeness error, largest", f"{figures['completeness_error']:.2e}")
    others.add_row("time", f"{figures['seconds']['total']:.0f} s")
    return Group(versions, others)
