"""What an earlier release saved still loads, with stock Keras and the package imported, and computes the same."""

import pathlib

import keras
import numpy as np
import pytest

from keras_arch.explain import Attribution

RELEASES = sorted(path for path in pathlib.Path(__file__).resolve().parent.iterdir() if (path / "outputs.npz").exists())


def test_there_are_files_of_a_release():
    assert RELEASES


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
@pytest.mark.parametrize("name", ["reader", "quantized"])
def test_models_load_and_compute_what_they_did(release, name):
    stored = np.load(release / "outputs.npz")
    model = keras.saving.load_model(release / f"{name}.keras")
    # Another processor may round the last bits of a matrix product otherwise.
    np.testing.assert_allclose(model.predict(stored["x"], verbose=0), stored[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_attributions_load(release):
    attribution = Attribution.load(release / "attribution.npz")
    assert attribution.values.shape == (4, 6, 8, 1)
    np.testing.assert_array_equal(attribution.inputs, np.load(release / "outputs.npz")["x"])
    np.testing.assert_allclose(
        attribution.values.sum((1, 2, 3)) - (attribution.scores - attribution.baseline_scores),
        attribution.convergence_delta,
        atol=1e-5,
    )
