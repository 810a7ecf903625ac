"""The wheel holds what is declared: sources, static files, metadata, entry points, and nothing else."""

import configparser
import email
import importlib.metadata
import pathlib
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

import keras_arch

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built from a copy of the sources so that nothing is written into them."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for folder in ("keras_arch", "tests", "examples", "benchmarks", "docs"):
        if (ROOT / folder).exists():
            shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-cache-dir", "-q"]
    done = subprocess.run([*command, "-w", "dist", "."], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (source / "dist").glob("keras_arch-*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel) -> email.message.Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


def test_wheel_holds_exactly_the_sources_and_static_files(wheel):
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    declared = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "keras_arch").rglob("*")
        if path.is_file() and (path.suffix == ".py" or path.name == "py.typed" or "static" in path.parts)
    }
    assert packed == declared
    assert any("tensorboard/static/" in name for name in packed)
    assert "keras_arch/py.typed" in packed


def test_wheel_brings_one_top_level_package(wheel):
    assert {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name} == {"keras_arch"}


def test_licence_is_in_the_wheel(wheel, metadata):
    assert metadata["License-Expression"] == "Apache-2.0"
    (name,) = [name for name in wheel.namelist() if name.endswith("/LICENSE")]
    assert b"Apache License" in wheel.read(name)


def test_metadata_is_what_pyproject_declares(metadata, project):
    assert metadata["Name"] == project["name"] == "keras-arch"
    assert metadata["Version"] == project["version"] == keras_arch.__version__
    assert metadata["Requires-Python"] == project["requires-python"] == ">=3.11"
    required = metadata.get_all("Requires-Dist")
    assert [item for item in required if "extra ==" not in item] == project["dependencies"]
    assert set(metadata.get_all("Provides-Extra")) == set(project["optional-dependencies"])
    for extra, names in project["optional-dependencies"].items():
        found = [item.split(";")[0].strip() for item in required if f'extra == "{extra}"' in item]
        assert sorted(found) == sorted(names), extra


def test_readme_is_the_long_description(metadata):
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload(decode=True).decode("utf-8").strip() == (ROOT / "README.md").read_text("utf-8").strip()


def test_entry_points_are_what_pyproject_declares_and_can_be_loaded(wheel, project):
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    parser = configparser.ConfigParser()
    parser.optionxform = str
    parser.read_string(wheel.read(name).decode("utf-8"))
    assert dict(parser["console_scripts"]) == project["scripts"]
    assert dict(parser["tensorboard_plugins"]) == project["entry-points"]["tensorboard_plugins"]
    for group in ("console_scripts", "tensorboard_plugins"):
        for point, target in parser[group].items():
            assert callable(importlib.metadata.EntryPoint(point, target, group).load())


def test_all_is_the_union_of_what_users_run(project):
    extras = project["optional-dependencies"]
    assert extras["all"] == ["keras-arch[demo,interop,onnx]"]
