"""What the stages measure with: accuracy, file sizes, and training that follows the number of epochs."""

import gzip
import io

import keras
import numpy as np
import pytest
from rich.console import Console

from keras_arch.cli.demo import stages
from keras_arch.cli.demo.data import Digits
from keras_arch.cli.demo.screen import Screen


@pytest.fixture
def run(tmp_path, rng):
    x, y = rng.random((130, 8, 8, 1), dtype="float32"), rng.integers(0, 10, 130)
    digits = Digits(x, y, x[:20], y[:20])
    figures = {"files": [], "bytes": {}, "sparsities": {}}
    return stages.Run(tmp_path, 2, digits, figures, Screen(Console(file=io.StringIO())))


def test_accuracy_counts_the_largest_logit(run):
    logits = np.zeros((20, 10))
    logits[np.arange(20), run.digits.y_test] = 1
    assert stages.share_right(run, logits) == 1.0
    logits[:5] = -logits[:5]
    assert stages.share_right(run, logits) == 0.75


def test_training_takes_the_steps_of_its_epochs_and_ends_with_a_rate_of_zero(run):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    before = model.layers[-1].kernel.numpy()
    stages.fit(run, model, 2, 1e-2, [])
    assert int(model.optimizer.iterations) == 2 * stages.steps_per_epoch(run) == 6
    assert float(model.optimizer.learning_rate) == pytest.approx(0, abs=1e-9)
    assert np.abs(model.layers[-1].kernel.numpy() - before).max() > 1e-3


def test_sizes_are_those_of_the_file_and_of_its_gzip(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(5000))
    sizes = stages.file_bytes(path)
    assert sizes["raw"] == 5000
    assert sizes["gzipped"] == len(gzip.compress(bytes(5000), 9))


def test_files_are_noted_once_and_kept_models_are_saved(run):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    run.keep("tiny", model)
    run.keep("tiny", model)
    assert run.figures["files"] == ["tiny.keras"]
    assert run.models["tiny"] is model
    assert np.array_equal(keras.saving.load_model(run.out / "tiny.keras")(run.digits.x), model(run.digits.x))
