"""Constraints that Keras lacks, for any `kernel_constraint`: proximal steps, which reach exact zeros."""

from keras_arch.constraints.get import get
from keras_arch.constraints.proximal_group_lasso import ProximalGroupLasso
from keras_arch.constraints.proximal_l1 import ProximalL1
from keras_arch.constraints.proximal_nuclear_norm import ProximalNuclearNorm
from keras_arch.constraints.proximal_sparse_group_lasso import ProximalSparseGroupLasso

__all__ = ["ProximalGroupLasso", "ProximalL1", "ProximalNuclearNorm", "ProximalSparseGroupLasso", "get"]
