"""Every public layer passes `check_layer`, every public cell `check_cell`; a fresh process loads what they saved."""

import os
import pathlib
import subprocess
import sys

import keras
import pytest
from conformance.layer_cases import CELLS, LAYERS, PARTS

import keras_arch
from keras_arch import layers
from keras_arch.testing import check_cell, check_layer

pytestmark = pytest.mark.backend

CASES = [
    pytest.param(check, name, case, id=f"{name}-{number}")
    for check, table in ((check_layer, LAYERS), (check_cell, CELLS))
    for name, cases in table.items()
    for number, case in enumerate(cases)
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> pathlib.Path:
    """The folder where the battery leaves its models."""
    return tmp_path_factory.mktemp("saved")


PUBLIC = [name for name in layers.__all__ if issubclass(getattr(layers, name), keras.layers.Layer)]


def test_what_is_no_layer_is_a_value_that_layers_pass_on():
    assert set(layers.__all__) - set(PUBLIC) == {"KVCache"}


def test_every_public_layer_has_a_case():
    missing = set(PUBLIC) - set(LAYERS) - set(CELLS) - set(PARTS)
    assert set(PARTS.values()) <= set(LAYERS)
    assert not missing, (
        f"{', '.join(sorted(missing))} has no case: add one to LAYERS or CELLS in tests/conformance/layer_cases.py."
    )
    stale = {*LAYERS, *CELLS, *PARTS} - set(layers.__all__)
    assert not stale, f"{', '.join(sorted(stale))} is in tests/conformance/layer_cases.py and not in keras_arch.layers."


@pytest.mark.parametrize("name", PUBLIC)
def test_public_layers_are_registered_under_the_name_of_the_package(name):
    assert keras.saving.get_registered_name(getattr(layers, name)) == f"keras_arch>{name}"


@pytest.mark.parametrize(("check", "name", "case"), CASES)
def test_layer(check, name, case, saved, request):
    folder = saved / request.node.callspec.id
    report = check(getattr(layers, name), **case, directory=folder)
    print(report)  # shown with the failure, and by pytest -s
    assert {"gradient", "keras_file", "jit_compile"} <= {name for name, _ in report.passed + report.left_out}
    assert all(reason for _, reason in report.left_out)


def test_a_fresh_process_loads_every_saved_layer(saved, request):
    found = sorted(path.parent.name for path in saved.rglob("*.keras"))
    if not found:
        pytest.skip("needs the models that test_layer saves: run the whole file")
    code = (
        "import sys, keras, keras_arch\n"
        "from keras_arch.testing import check_saved_models\n"
        "print(*check_saved_models(sys.argv[1]), sep='\\n')"
    )
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(sys.path)}
    root = pathlib.Path(keras_arch.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved)], capture_output=True, text=True, env=environment, cwd=root, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split("/")[0] for line in done.stdout.splitlines() if "/" in line] == found
