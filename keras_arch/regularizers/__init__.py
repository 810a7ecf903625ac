"""Regularizers that Keras lacks, for any `kernel_regularizer` or, where a class says so, `activity_regularizer`."""

from keras_arch.regularizers.decorrelation import Decorrelation
from keras_arch.regularizers.double_soft_orthogonal import DoubleSoftOrthogonal
from keras_arch.regularizers.get import get
from keras_arch.regularizers.group_lasso import GroupLasso
from keras_arch.regularizers.hoyer import Hoyer
from keras_arch.regularizers.nuclear_norm import NuclearNorm
from keras_arch.regularizers.soft_orthogonal import SoftOrthogonal
from keras_arch.regularizers.sparse_group_lasso import SparseGroupLasso
from keras_arch.regularizers.spectral_norm_penalty import SpectralNormPenalty
from keras_arch.regularizers.srip import SRIP

# Plain alphabetical order: ruff would put SRIP first, as if it were a constant.
__all__ = [  # noqa: RUF022
    "Decorrelation",
    "DoubleSoftOrthogonal",
    "GroupLasso",
    "Hoyer",
    "NuclearNorm",
    "SRIP",
    "SoftOrthogonal",
    "SparseGroupLasso",
    "SpectralNormPenalty",
    "get",
]
