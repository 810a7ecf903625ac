"""Saved models are loaded and compared, and what is wrong with them is said."""

import json
import zipfile

import keras
import numpy as np
import pytest

from keras_arch.testing import check_layer, check_saved_models

pytestmark = pytest.mark.backend


@pytest.fixture
def folder(only, tmp_path):
    """Three layers saved by the battery: one input, a list of inputs, inputs by name."""
    skip = only("keras_file")
    pair = (2, 4, 3), (2, 4, 3)
    check_layer(keras.layers.LayerNormalization, {}, (2, 4), skip=skip, directory=tmp_path / "one")
    check_layer(keras.layers.Concatenate, {}, list(pair), skip=skip, directory=tmp_path / "list")
    by_name = dict(zip(("value", "query"), pair, strict=True))
    arguments = {"num_heads": 1, "key_dim": 2}
    check_layer(keras.layers.MultiHeadAttention, arguments, by_name, skip=skip, directory=tmp_path / "named")
    return tmp_path


def test_every_model_below_the_folder_is_checked(folder):
    assert check_saved_models(folder) == (
        "list/Concatenate.keras",
        "named/MultiHeadAttention.keras",
        "one/LayerNormalization.keras",
    )


def test_other_outputs_are_noticed(folder):
    path = folder / "one" / "LayerNormalization.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["output_0"] = np.nextafter(arrays["output_0"], np.float32(9))
    np.savez(path, **arrays)
    with pytest.raises(AssertionError, match="1 of 3 saved models .*\none/LayerNormalization.keras: .* bit for bit"):
        check_saved_models(folder)


def test_a_class_that_is_gone_is_noticed(folder):
    path = folder / "list" / "Concatenate.keras"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert json.loads(parts["config.json"])["class_name"] == "Functional"
    parts["config.json"] = parts["config.json"].replace(b"Concatenate", b"Concatenated")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(AssertionError, match="Concatenate.keras: .*Concatenated"):
        check_saved_models(folder)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="directory must hold .keras files"):
        check_saved_models(tmp_path)
