"""The environment names what is really installed."""

import importlib.metadata

import keras

from keras_arch.report import environment


def test_versions_are_those_of_the_installed_packages():
    found = environment()
    assert found["keras-arch"] == importlib.metadata.version("keras-arch")
    assert found["keras"] == keras.__version__
    assert found["backend"] == keras.backend.backend()
    assert found["cores"] >= 1


def test_packages_that_are_missing_are_left_out(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    assert "keras" not in environment()
