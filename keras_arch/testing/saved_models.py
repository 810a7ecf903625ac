"""Models that `check_layer` saved, loaded by another process."""

import pathlib

import keras
import numpy as np

from keras_arch.core.check import refuse
from keras_arch.testing.layer.check import Mismatch, first_lines
from keras_arch.testing.layer.compare import assert_close
from keras_arch.testing.layer.files import predict


def check_saved_models(directory: str | pathlib.Path) -> tuple[str, ...]:
    """Load every model that `check_layer` or `check_cell` left below a directory; each must compute the same bits.

    Made for a fresh process, which knows nothing but what it imports:
    `python -c "import my_layers; from keras_arch import testing; testing.check_saved_models('folder')"`.

    Args:
        directory: given as `directory` to `check_layer`, or a folder of such folders.
    Returns:
        Paths of the models checked, relative to `directory`.
    Raises:
        AssertionError: if a model does not load or computes something else; names every such model.
        ValueError: if there is no model.

    >>> import tempfile
    >>> skip = {name: "short example" for name in ka.testing.CHECK_NAMES if name not in ("keras_file", "can_be_called")}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = ka.testing.check_layer(keras.layers.Dense, {"units": 3}, (2, 4), skip=skip, directory=folder)
    ...     ka.testing.check_saved_models(folder)
    ('Dense.keras',)
    """
    directory = pathlib.Path(directory)
    paths = sorted(directory.rglob("*.keras"))
    if not paths:
        raise refuse(
            "directory", "must hold .keras files", str(directory), "Give the same folder to check_layer first."
        )
    wrong = []
    for path in paths:
        try:
            check_one(path)
        except Mismatch as error:
            wrong.append(f"{path.relative_to(directory)}: {error}")
        except Exception as error:  # whatever loading a user's layer raises is the finding
            wrong.append(f"{path.relative_to(directory)}: {first_lines(error)}")
    if wrong:
        raise AssertionError(
            f"{len(wrong)} of {len(paths)} saved models fail to load as they were:\n" + "\n".join(wrong)
        )
    return tuple(path.relative_to(directory).as_posix() for path in paths)


def check_one(path: pathlib.Path) -> None:
    """Load one model and compare its outputs with those stored beside it."""
    model = keras.saving.load_model(path)
    with np.load(path.with_suffix(".npz")) as stored:
        inputs = {key.removeprefix("input_"): stored[key] for key in stored.files if key.startswith("input_")}
        wanted = [stored[key] for key in stored.files if key.startswith("output_")]
    if not isinstance(model.input, dict):
        inputs = list(inputs.values())
        inputs = inputs if isinstance(model.input, list) else inputs[0]
    got = keras.tree.flatten(predict(model, inputs))
    assert_close(got, wanted, 0.0, "outputs of the loaded model against the stored ones")
