"""Initializers that Keras lacks, for any `kernel_initializer`, and one for a whole model."""

from keras_arch.initializers.chrono import Chrono
from keras_arch.initializers.deep_norm import DeepNorm
from keras_arch.initializers.delta_orthogonal import DeltaOrthogonal
from keras_arch.initializers.dirac import Dirac
from keras_arch.initializers.fixup import Fixup
from keras_arch.initializers.get import get
from keras_arch.initializers.icnr import ICNR
from keras_arch.initializers.identity_recurrent import IdentityRecurrent
from keras_arch.initializers.lsuv import lsuv
from keras_arch.initializers.zero import ZerO

__all__ = [
    "ICNR",
    "Chrono",
    "DeepNorm",
    "DeltaOrthogonal",
    "Dirac",
    "Fixup",
    "IdentityRecurrent",
    "ZerO",
    "get",
    "lsuv",
]
