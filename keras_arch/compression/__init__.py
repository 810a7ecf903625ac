"""Making models smaller: pruning, clustering and quantization, and reports of what it did."""

from keras_arch.compression import clustering, pruning, quantization
from keras_arch.compression.clustering.clusterer import Clusterer, cluster
from keras_arch.compression.clustering_report import ClusteringReport, LayerClusters, clustering_report
from keras_arch.compression.pruning.pruner import Pruner, prune
from keras_arch.compression.pruning.shrink import shrink, shrink_report
from keras_arch.compression.quantization.calibrate import calibrate
from keras_arch.compression.quantization.export import export_litert
from keras_arch.compression.quantization.export_onnx import export_onnx
from keras_arch.compression.quantization.quantize import left_in_float, quantize
from keras_arch.compression.quantization.run import run_litert
from keras_arch.compression.quantization.scheme import PerChannel, PerGroup, PerTensor, Scheme
from keras_arch.compression.quantization_report import LayerQuantization, QuantizationReport
from keras_arch.compression.quantization_sensitivity import (
    LayerQuantizationSensitivity,
    QuantizationSensitivityReport,
    quantization_sensitivity,
)
from keras_arch.compression.report import LayerSparsity, SparsityReport, sparsity_report
from keras_arch.compression.schedule import ConstantSchedule, CosineSchedule, PolynomialSchedule, StepSchedule
from keras_arch.compression.sensitivity import LayerSensitivity, SensitivityReport, sensitivity
from keras_arch.compression.shrink_report import ShrinkReport, ShrunkLayer

__all__ = [
    "Clusterer",
    "ClusteringReport",
    "ConstantSchedule",
    "CosineSchedule",
    "LayerClusters",
    "LayerQuantization",
    "LayerQuantizationSensitivity",
    "LayerSensitivity",
    "LayerSparsity",
    "PerChannel",
    "PerGroup",
    "PerTensor",
    "PolynomialSchedule",
    "Pruner",
    "QuantizationReport",
    "QuantizationSensitivityReport",
    "Scheme",
    "SensitivityReport",
    "ShrinkReport",
    "ShrunkLayer",
    "SparsityReport",
    "StepSchedule",
    "calibrate",
    "cluster",
    "clustering",
    "clustering_report",
    "export_litert",
    "export_onnx",
    "left_in_float",
    "prune",
    "pruning",
    "quantization",
    "quantization_sensitivity",
    "quantize",
    "run_litert",
    "sensitivity",
    "shrink",
    "shrink_report",
    "sparsity_report",
]
