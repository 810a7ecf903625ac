"""Pictures of results, as matplotlib figures without global state."""

from keras_arch.plots.gallery import gallery
from keras_arch.plots.overlay import overlay
from keras_arch.plots.quantization import quantization
from keras_arch.plots.quantization_sensitivity import quantization_sensitivity
from keras_arch.plots.sensitivity import sensitivity
from keras_arch.plots.sparsity import sparsity

__all__ = ["gallery", "overlay", "quantization", "quantization_sensitivity", "sensitivity", "sparsity"]
