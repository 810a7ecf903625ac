"""What the classes share: scores of a class, warnings, files."""

import keras
import numpy as np
import pytest

import keras_arch as ka
from keras_arch.explain.probe import Probe
from keras_arch.interop.tf_explain import core, explainer

WARNING = {name for name in core.__all__ if name != "ExtractActivations"}


def test_every_class_that_departs_says_so_once_and_names_a_method(net, images):
    data = (images, None)
    more = {"GradCAM": {"layer_name": "conv"}, "OcclusionSensitivity": {"patch_size": 4}}
    for name in WARNING:
        with pytest.warns(UserWarning, match=f"^{name} follows tf-explain, .* keras_arch.explain.") as heard:
            _twice(getattr(core, name), data, net, more.get(name, {}))
        assert len(heard) == 1
        assert heard[0].filename == __file__
    core.ExtractActivations().explain(data, net, ["conv"])


def _twice(kind, data, model, options):
    kind().explain(data, model, 0, **options)
    kind().explain(data, model, 1, **options)


@pytest.mark.parametrize("name", sorted(WARNING))
def test_the_method_to_take_instead_exists(name):
    assert getattr(core, name).instead in ka.explain.__all__


def test_a_class_of_a_map_counts_its_positions_together(rng):
    model = keras.Sequential([keras.Input((4, 5, 2)), keras.layers.Conv2D(3, 1)])
    x = rng.normal(size=(2, 4, 5, 2)).astype("float32")
    probe = Probe(model)
    _, scores = probe.predict(x, explainer.scores_of_class(probe, x, 1))
    want = keras.ops.convert_to_numpy(model(x))[:, 1].sum((1, 2))
    np.testing.assert_allclose(scores, want, rtol=1e-5)


@pytest.mark.parametrize("index", [4, -5, 1.0, "a"])
def test_a_class_that_is_none_is_refused(linear, images, index):
    probe = Probe(linear[0])
    with pytest.raises(ValueError, match="class_index must be a class of the output"):
        explainer.scores_of_class(probe, images, index)


def test_several_outputs_and_data_without_a_pair_are_refused(images):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, [keras.layers.Flatten()(inputs)] * 2)
    with pytest.raises(ValueError, match="model must have one output with a class axis"):
        explainer.scores_of_class(Probe(model), images, 0)
    with pytest.raises(ValueError, match=r"validation_data must be the pair \(x, y\)"):
        explainer.images_of(images, model)


def test_gradients_of_linear_scores_are_the_kernel(linear, images):
    model, kernel = linear
    probe = Probe(model)
    got = explainer.gradients(probe, images, explainer.scores_of_class(probe, images, -1))
    np.testing.assert_allclose(got, np.broadcast_to(kernel[..., 3], got.shape), rtol=1e-5)


def test_a_picture_is_saved(tmp_path, images):
    core.GradCAM().save(np.zeros((4, 4, 3), "uint8"), tmp_path / "out", "grid.png")
    assert (tmp_path / "out" / "grid.png").stat().st_size > 0
