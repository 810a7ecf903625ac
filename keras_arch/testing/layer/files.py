"""Checks of files: what is loaded computes the same bits as what was saved."""

import contextlib
import warnings
from collections.abc import Iterator

import keras
import numpy as np

from keras_arch.testing.layer.check import check
from keras_arch.testing.layer.compare import assert_close
from keras_arch.testing.layer.subject import Subject


def flat_arrays(structure: object) -> dict[str, np.ndarray]:
    """Arrays of a structure under names that an .npz file takes: keys of a dict, else numbers.

    >>> list(flat_arrays([np.zeros(1), np.ones(1)]))
    ['0', '1']
    """
    if isinstance(structure, dict) and all(isinstance(leaf, np.ndarray) for leaf in structure.values()):
        return dict(structure)
    return {str(i): array for i, array in enumerate(keras.tree.flatten(structure))}


def trained_layer(subject: Subject) -> keras.Layer:
    """A copy of the reference after one training call, so that statistics and other state have moved."""
    layer = subject.twin()
    subject.compute(layer, training=True)
    return layer


@check(
    "State lives in a Python attribute instead of a weight, a value drawn in __init__ or build is not in the config, "
    "or sublayers are not built in `build`."
)
def keras_file(subject: Subject) -> None:
    """A `.keras` file loads with stock keras.saving.load_model and computes the same bits.

    The file stays in the directory of the subject beside its inputs and outputs: see `check_saved_models`.
    """
    layer = trained_layer(subject)
    model = subject.functional(layer, dynamic=False)
    wanted = subject.compute(layer, training=False)
    path = subject.directory / f"{subject.name}.keras"
    with quiet_variables():
        model.save(path)
    arrays = {f"input_{k}": v for k, v in flat_arrays(subject.inputs).items()}
    arrays |= {f"output_{k}": v for k, v in flat_arrays(keras.tree.flatten(wanted)).items()}
    np.savez(path.with_suffix(".npz"), **arrays)
    loaded = keras.saving.load_model(path)
    assert_close(predict(loaded, subject.inputs), wanted, 0.0, "outputs of the loaded model against the saved one")


@check("Weights are made in `call`, or save_own_variables and load_own_variables disagree.")
def weights_file(subject: Subject) -> None:
    """A `.weights.h5` file read into a model of other weights brings the same bits."""
    layer = trained_layer(subject)
    path = subject.directory / f"{subject.name}.weights.h5"
    with quiet_variables():
        subject.functional(layer, dynamic=False).save_weights(path)
    other = subject.make()
    model = subject.functional(other, dynamic=False)
    model.load_weights(path)
    path.unlink()
    got, wanted = (subject.compute(one, training=False) for one in (other, layer))
    assert_close(got, wanted, 0.0, "outputs with loaded weights against the saved ones")


@contextlib.contextmanager
def quiet_variables() -> Iterator[None]:
    """Silence what NumPy says of tf.Variable when Keras 3.15 writes a variable to HDF5; files are right."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy keyword")
        yield


def predict(model: keras.Model, inputs: object) -> object:
    """Call a model eagerly at inference on a structure of arrays, and return arrays."""
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(tensors, training=False))


FILES = (keras_file, weights_file)
