"""Making models smaller: pruning and quantization, and reports of what it did."""

from keras_arch.compression import pruning, quantization
from keras_arch.compression.pruning.pruner import Pruner, prune
from keras_arch.compression.pruning.shrink import shrink, shrink_report
from keras_arch.compression.quantization.calibrate import calibrate
from keras_arch.compression.quantization.export import export_litert
from keras_arch.compression.quantization.quantize import quantize
from keras_arch.compression.quantization.run import run_litert
from keras_arch.compression.quantization.scheme import PerChannel, PerTensor, Scheme
from keras_arch.compression.quantization_report import QuantizationReport
from keras_arch.compression.report import LayerSparsity, SparsityReport, sparsity_report
from keras_arch.compression.schedule import ConstantSchedule, CosineSchedule, PolynomialSchedule, StepSchedule
from keras_arch.compression.sensitivity import LayerSensitivity, SensitivityReport, sensitivity
from keras_arch.compression.shrink_report import ShrinkReport, ShrunkLayer

__all__ = [
    "ConstantSchedule",
    "CosineSchedule",
    "LayerSensitivity",
    "LayerSparsity",
    "PerChannel",
    "PerTensor",
    "PolynomialSchedule",
    "Pruner",
    "QuantizationReport",
    "Scheme",
    "SensitivityReport",
    "ShrinkReport",
    "ShrunkLayer",
    "SparsityReport",
    "StepSchedule",
    "calibrate",
    "export_litert",
    "prune",
    "pruning",
    "quantization",
    "quantize",
    "run_litert",
    "sensitivity",
    "shrink",
    "shrink_report",
    "sparsity_report",
]
