"""Streams of batches give what the whole array gives."""

import keras
import numpy as np
import pytest

from keras_arch.explain import GradCAM, IntegratedGradients, batches

L = keras.layers


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    body = [L.Conv2D(3, 3, bias_initializer="ones", activation="tanh"), L.Flatten(), L.Dense(4)]
    return keras.Sequential([keras.Input((6, 6, 1)), *body])


class Batches(keras.utils.PyDataset):
    """Pairs of images and labels."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return -(-len(self.x) // 3)

    def __getitem__(self, place):
        part = self.x[3 * place : 3 * place + 3]
        return part, np.zeros(len(part))


def dataset(x, labels=True):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((x, np.zeros(len(x))) if labels else x)
    return data.batch(3)


def loader(x):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.zeros(len(x)))
    return torch.utils.data.DataLoader(data, batch_size=3)


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(dataset, id="tf.data"),
        pytest.param(lambda x: dataset(x, labels=False), id="tf.data of inputs"),
        pytest.param(Batches, id="PyDataset"),
        pytest.param(loader, id="DataLoader", marks=pytest.mark.oracle),
        pytest.param(lambda x: (x[first : first + 3] for first in range(0, 7, 3)), id="generator"),
    ],
)
def test_a_stream_is_explained_like_an_array(net, rng, stream):
    x, target = rng.normal(size=(7, 6, 6, 1)).astype("float32"), [0, 1, 2, 3, 0, 1, 2]
    for method in (GradCAM(), IntegratedGradients(steps=3)):
        want = method.explain(net, x, target)
        got = method.explain(net, stream(x), target)
        np.testing.assert_allclose(got.values, want.values, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(got.target, want.target)
        np.testing.assert_array_equal(got.inputs, x)
        assert got.method == method
    assert [len(part) for part in GradCAM().stream(net, stream(x), target)] == [3, 3, 1]


def test_arrays_are_streamed_in_batches(net, rng):
    x = rng.normal(size=(7, 6, 6, 1))
    parts = list(GradCAM().stream(net, x, 1, batch_size=4))
    assert [len(part) for part in parts] == [4, 3]
    want = GradCAM().explain(net, x, 1).values
    np.testing.assert_allclose(np.concatenate([part.values for part in parts]), want, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="batch_size must be"):
        next(GradCAM().stream(net, x, 1, batch_size=0))


def test_a_stream_is_read_as_it_is_asked_for(net, rng):
    asked = []

    def endless():
        while True:
            asked.append(1)
            yield rng.normal(size=(2, 6, 6, 1))

    parts = GradCAM().stream(net, endless())
    next(parts), next(parts)
    assert len(asked) == 2


def test_an_empty_stream_and_a_short_target_are_refused(net, rng):
    with pytest.raises(ValueError, match="x must hold at least one batch"):
        GradCAM().explain(net, iter([]))
    with pytest.raises(
        ValueError, match="target must hold one entry per sample; received 2, and the samples go on to 3"
    ):
        GradCAM().explain(net, iter([rng.normal(size=(3, 6, 6, 1))]), [0, 1])


def test_parts_of_targets_for_several_outputs():
    got = batches.part_of_target({"a": np.arange(5), "b": None, "c": (1, 2)}, 2, 2)
    np.testing.assert_array_equal(got["a"], [2, 3])
    assert got["b"] is None
    assert got["c"] == (1, 2)
