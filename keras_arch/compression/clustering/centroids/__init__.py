"""Where k-means begins: the first values that the weights of a kernel may share."""

from keras_arch.compression.clustering.centroids.density import Density
from keras_arch.compression.clustering.centroids.k_means_plus_plus import KMeansPlusPlus
from keras_arch.compression.clustering.centroids.linear import Linear

__all__ = ["Density", "KMeansPlusPlus", "Linear"]
