"""Pictures of results, as matplotlib figures without global state."""

from keras_arch.plots.attention import attention
from keras_arch.plots.evaluation import evaluation
from keras_arch.plots.gallery import gallery
from keras_arch.plots.measurement import measurement
from keras_arch.plots.overlay import overlay
from keras_arch.plots.quantization import quantization
from keras_arch.plots.quantization_sensitivity import quantization_sensitivity
from keras_arch.plots.sensitivity import sensitivity
from keras_arch.plots.signal import signal
from keras_arch.plots.sparsity import sparsity
from keras_arch.plots.tokens import tokens

__all__ = [
    "attention",
    "evaluation",
    "gallery",
    "measurement",
    "overlay",
    "quantization",
    "quantization_sensitivity",
    "sensitivity",
    "signal",
    "sparsity",
    "tokens",
]
