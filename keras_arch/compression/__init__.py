"""Making models smaller: pruning and quantization, and reports of what it did."""

from keras_arch.compression import pruning
from keras_arch.compression.pruning.pruner import Pruner, prune
from keras_arch.compression.report import LayerSparsity, SparsityReport, sparsity_report
from keras_arch.compression.schedule import ConstantSchedule, PolynomialSchedule

__all__ = [
    "ConstantSchedule",
    "LayerSparsity",
    "PolynomialSchedule",
    "Pruner",
    "SparsityReport",
    "prune",
    "pruning",
    "sparsity_report",
]
