"""Clustering a model at once, and in a loop of one's own."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from oracles.clustering import distinct, lloyd

from keras_arch import compression
from keras_arch.compression.clustering.centroids import Linear

pytestmark = pytest.mark.backend


def network():
    return keras.Sequential(
        [
            keras.Input((5, 5, 1)),
            layers.Conv2D(6, 3, name="conv"),
            layers.Flatten(),
            layers.Dense(7, name="body"),
            layers.Dense(3, name="head"),
        ]
    )


def kernels(model):
    return [weight.numpy() for weight in model.trainable_variables if len(weight.shape) >= 2]


def test_every_kernel_has_as_many_values_as_asked_and_nothing_else_changes():
    model = network()
    model.get_layer("body").bias.assign(np.arange(7) / 3)
    report = compression.cluster(model, clusters=8)
    assert [distinct(kernel) for kernel in kernels(model)] == [8, 8, 8]
    assert [(row.path, row.values, row.bits) for row in report.layers] == [
        ("conv", 8, 3),
        ("body", 8, 3),
        ("head", 8, 3),
    ]
    np.testing.assert_array_equal(model.get_layer("body").bias.numpy(), (np.arange(7) / 3).astype("float32"))


def test_the_values_are_those_of_a_loop_over_all_distances(rng):
    model = network()
    kernel = model.get_layer("body").kernel
    before = kernel.numpy().copy()
    compression.cluster(model, 5, Linear(), targets=["body"])
    expected = lloyd(before, np.linspace(before.min(), before.max(), 5))
    np.testing.assert_allclose(np.unique(kernel.numpy()), expected, rtol=1e-5)
    nearest = np.abs(before[..., None] - expected).argmin(axis=-1)
    np.testing.assert_allclose(kernel.numpy(), expected[nearest], rtol=1e-5)


def test_layers_may_have_clusters_of_their_own():
    model = network()
    compression.cluster(model, 4, overrides={"head": 9, "conv": 2})
    assert [distinct(kernel) for kernel in kernels(model)] == [2, 4, 9]


def test_a_second_time_changes_nothing():
    model = network()
    compression.cluster(model, 8)
    before = model.get_weights()
    report = compression.cluster(model, 8, "density")
    assert report.error == 0
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_zeros_of_pruning_are_kept_and_count_as_a_value():
    model = network()
    compression.prune(model, 0.6)
    gone = [kernel == 0 for kernel in kernels(model)]
    compression.cluster(model, 8, preserve_zeros=True)
    for kernel, zero in zip(kernels(model), gone, strict=True):
        np.testing.assert_array_equal(kernel == 0, zero)
        assert distinct(kernel) == 8


def test_without_zeros_a_value_is_held_back_for_them():
    model = network()
    compression.cluster(model, 8, preserve_zeros=True)
    assert [distinct(kernel) for kernel in kernels(model)] == [7, 7, 7]


def test_a_kernel_of_zeros_is_no_trouble():
    model = network()
    model.get_layer("body").kernel.assign(np.zeros(model.get_layer("body").kernel.shape))
    for preserve_zeros in (True, False):
        assert compression.cluster(model, 4, preserve_zeros=preserve_zeros).layers[1].values == 1


def test_an_embedding_named_on_purpose_is_clustered_and_trained(rng):
    model = keras.Sequential(
        [keras.Input((4,), dtype="int32"), layers.Embedding(50, 6, name="words"), layers.Flatten()]
    )
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    clusterer = compression.Clusterer(model, 8, targets=["words"])
    clusterer.cluster()
    before = model.get_layer("words").embeddings.numpy().copy()
    with clusterer.hold() as steps:
        model.train_on_batch(rng.integers(0, 50, size=(16, 4)), rng.normal(size=(16, 1)))
    after = model.get_layer("words").embeddings.numpy()
    assert steps.seen
    assert distinct(after) == 8
    assert np.abs(after - before).min() > 1e-3  # words that were not in the batch move with their cluster


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clusters": 1}, "clusters must be an integer >= 2; received clusters=1"),
        ({"clusters": 16.0}, "clusters must be an integer >= 2; received clusters=16.0"),
        ({"clusters": True}, "clusters must be an integer >= 2; received clusters=True"),
        ({"clusters": 22}, "must be at most the number of weights; received 22 for the 21 weights of head/kernel"),
        ({"centroids": "kmean"}, "centroids must be an object or one of 'density', 'k_means_plus_plus', 'linear'"),
        ({"centroids": 3}, "centroids must be a callable"),
        ({"centroids": lambda values, clusters: [[1.0]]}, "from 1 to 8 finite numbers; received an array of shape"),
        ({"centroids": lambda values, clusters: [np.nan]}, "finite: False"),
        ({"centroids": lambda values, clusters: np.arange(9.0)}, r"received an array of shape \(9,\) for conv/kernel"),
        ({"targets": ["stem"]}, "targets must name a layer"),
        ({"targets": lambda path, variable: False}, "targets must match at least one trainable weight"),
        ({"overrides": ["head"]}, "overrides must map names of layers to numbers of clusters"),
        ({"overrides": {"head": 1}}, r"overrides\['head'\] must be an integer >= 2"),
        ({"overrides": {"stem": 4}}, "overrides must name a layer"),
        ({"overrides": {"head": 4}, "targets": ["conv", "body"]}, "must name layers that are clustered: conv, body"),
    ],
)
def test_bad_arguments_raise_and_leave_the_weights(arguments, message):
    model = network()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        compression.cluster(model, **({"clusters": 8} | arguments))
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_before_any_is_changed(broken):
    model = network()
    head = model.get_layer("head").kernel
    head.assign(np.where(np.arange(21).reshape(7, 3) == 4, broken, head.numpy()))
    before = model.get_weights()
    with pytest.raises(ValueError, match="weights must be finite to be clustered; .* in head/kernel"):
        compression.cluster(model, 4)
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_in_a_loop_of_ones_own_the_values_move_by_the_sum_or_the_mean():
    for gradient, factor in (("sum", None), ("mean", 1.0)):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3, use_bias=False)])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        clusterer = compression.Clusterer(model, 4, gradient=gradient)
        clusterer.cluster()
        before = model.layers[0].kernel.numpy().copy()
        members = sum((before == value) * (before == value).sum() for value in np.unique(before))
        with clusterer.hold():
            model.optimizer.apply([ops.ones((4, 3))], model.trainable_variables)
        moved = before - 0.1 * (members if factor is None else factor)
        np.testing.assert_allclose(model.layers[0].kernel.numpy(), moved, rtol=1e-5, atol=1e-6)


def test_holding_what_is_not_clustered_is_refused():
    with pytest.raises(ValueError, match="hold needs clusters"):
        compression.Clusterer(network(), 4).hold()
