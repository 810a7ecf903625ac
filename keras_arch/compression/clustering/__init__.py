"""Clustering: few values for many weights, and how they stay few while training."""

from keras_arch.compression.clustering import centroids
from keras_arch.compression.clustering.clusterer import Clusterer, cluster

__all__ = ["Clusterer", "centroids", "cluster"]
