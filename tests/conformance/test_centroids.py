"""Every public choice of first centroids: found by the namespace, tried on every kind of weight."""

import keras
import numpy as np
import pytest
from oracles.clustering import distinct, error

from keras_arch.compression import cluster
from keras_arch.compression.clustering import centroids
from keras_arch.core.identifiers import identifiers, snake_case

pytestmark = pytest.mark.backend
# A new one needs a line here: the arguments to try it with.
CASES = {"Density": [{}], "KMeansPlusPlus": [{}, {"seed": 3}], "Linear": [{}]}
TRIED = [
    pytest.param(getattr(centroids, name)(**settings), id=f"{name}-{settings}")
    for name, tried in CASES.items()
    for settings in tried
]


def test_every_public_name_has_a_case():
    assert sorted(CASES) == sorted(centroids.__all__)


class Product(keras.layers.Layer):
    """A layer with one weight of any shape."""

    def __init__(self, shape, dtype):
        super().__init__(dtype=dtype)
        self.kernel = self.add_weight(shape=shape, name="kernel")

    def call(self, inputs):
        return inputs * keras.ops.mean(self.kernel)


@pytest.mark.parametrize("method", TRIED)
@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (16, 8), (2, 4, 8)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_of_every_shape_and_type_are_clustered(method, shape, dtype, rng):
    layer = Product(shape, dtype)
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.kernel.assign(rng.normal(size=shape))
    before = keras.ops.convert_to_numpy(keras.ops.cast(layer.kernel, "float32"))
    report = cluster(model, 8, method)
    after = keras.ops.convert_to_numpy(keras.ops.cast(layer.kernel, "float32"))
    assert report.layers[0].values == distinct(after) == 8
    assert report.error == pytest.approx(np.square(before - after, dtype="float64").mean(), rel=1e-4)
    assert report.error * before.size == pytest.approx(error(before, np.unique(after)), rel=0.01)
    assert report.error < 0.06  # Max 1960: 0.0345 for 8 levels of a normal variable, at best


@pytest.mark.parametrize("method", TRIED)
def test_values_survive_serialisation(method):
    written = keras.saving.serialize_keras_object(method)
    assert written["registered_name"] == f"keras_arch>{type(method).__name__}"
    assert keras.saving.deserialize_keras_object(written) == method


@pytest.mark.parametrize("name", ["kmeans++", *map(snake_case, CASES), *CASES])
def test_string_ids_cluster_a_model(name):
    assert name == "kmeans++" or name in identifiers(centroids)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    assert cluster(model, 4, name).layers[0].values == 4
