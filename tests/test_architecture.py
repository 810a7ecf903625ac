"""The rules of the house that a machine can check: floors, doors, lazy imports, mirrors, lengths, documented names."""

import ast
import doctest
import importlib
import inspect
import os
import pathlib
import pkgutil
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_arch

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "keras_arch"
FLOORS = {
    "core": 0,
    "ops": 1,
    "initializers": 2,
    "regularizers": 2,
    "constraints": 2,
    "activations": 2,
    "layers": 3,
    "compression": 3,
    "explain": 3,
    "distribution": 3,
    "plots": 4,
    "tensorboard": 4,
    "report": 4,
    "testing": 4,
    "callbacks": 5,
    "cli": 6,
    "interop": 6,
}
DOORS = (
    "ops/backend/tensorflow/",
    "explain/engine.py",
    "compression/quantization/litert.py",
    "compression/quantization/litert_contents.py",
    "tensorboard/",
    "interop/",
)
LAZY = {
    "matplotlib",
    "tensorflow_model_optimization",
    "tf_explain",
    "tf_keras",
    "cv2",
    "sklearn",
    "torch",
    "jax",
    "captum",
    "shap",
    "ai_edge_litert",
    "onnx",
    "onnxruntime",
    "tf2onnx",
}
EMPTY_NAMES = {"utils", "util", "helpers", "common", "misc", "manager"}
NO_MIRROR = {"conformance", "journeys", "oracles", "golden", "browser"}


def sources() -> list[pathlib.Path]:
    return sorted(PACKAGE.rglob("*.py"))


def relative(path: pathlib.Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(tree: ast.AST) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def module_level(tree: ast.Module) -> ast.Module:
    """The statements that run at import: everything outside functions and blocks for type checkers."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            return None

        def visit_If(self, node):
            return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    return Strip().visit(ast.parse(ast.unparse(tree)))


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return {relative(path): ast.parse(path.read_text(encoding="utf-8")) for path in sources()}


def room_of(name: str) -> str:
    return name.split("/")[0].removesuffix(".py")


def test_every_folder_is_a_room_with_a_floor():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= set(FLOORS), f"rooms without a floor: {rooms - set(FLOORS)}"


def test_imports_only_go_down(trees):
    wrong = []
    for name, tree in trees.items():
        here = room_of(name)
        if here == "__init__":
            continue
        for imported, line in imports(tree):
            parts = imported.split(".")
            if parts[0] != "keras_arch" or len(parts) < 2 or parts[1] not in FLOORS or parts[1] == here:
                continue
            if FLOORS[parts[1]] >= FLOORS[here]:
                wrong.append(f"keras_arch/{name}:{line} ({here}) imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_tensorflow_enters_by_its_doors_only(trees):
    wrong = [
        f"keras_arch/{name}:{line} imports {imported}"
        for name, tree in trees.items()
        for imported, line in imports(tree)
        if imported.split(".")[0] == "tensorflow" and not name.startswith(DOORS)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_private_import_of_keras_or_tensorflow(trees):
    wrong = [
        f"keras_arch/{name}:{line} imports {imported}"
        for name, tree in trees.items()
        for imported, line in imports(tree)
        if imported.startswith(("keras.src", "tensorflow.python", "tf_keras")) and not name.startswith("interop/")
    ]
    assert not wrong, "\n".join(wrong)


def test_optional_and_slow_packages_are_never_imported_at_module_level(trees):
    wrong = [
        f"keras_arch/{name}:{line} imports {imported}"
        for name, tree in trees.items()
        for imported, line in imports(module_level(tree))
        if imported.split(".")[0] in LAZY
    ]
    assert not wrong, "\n".join(wrong)


def test_files_hold_one_idea(trees):
    long = [relative(path) for path in sources() if len(path.read_text(encoding="utf-8").splitlines()) > 400]
    assert not long, f"longer than 400 lines: {long}"
    unnamed = [name for name in trees if pathlib.PurePath(name).stem in EMPTY_NAMES]
    assert not unnamed, f"names that say nothing: {unnamed}"


def does_nothing(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef):
        return False
    body = [part for part in node.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))]
    return not body or all(isinstance(part, ast.Pass) for part in body)


def test_no_unfinished_work_is_left(trees):
    mark = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError\(\)")
    texts = {relative(path): path.read_text(encoding="utf-8") for path in sources()}
    found = [f"{name}: {hit.group()}" for name, text in texts.items() for hit in mark.finditer(text)]
    found += [
        f"{name}: {node.name} does nothing"
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if does_nothing(node)
    ]
    assert not found, "\n".join(found)


def test_tests_mirror_the_package():
    missing = []
    for path in sources():
        parts = path.relative_to(PACKAGE)
        if path.name == "__init__.py":
            continue
        mirror = ROOT / "tests" / parts.parent / f"test_{path.name.removeprefix('_')}"
        if not mirror.exists():
            missing.append(f"keras_arch/{parts} has no {mirror.relative_to(ROOT)}")
    assert not missing, "\n".join(missing)


def test_every_test_file_has_a_source():
    orphans = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        parts = path.relative_to(ROOT / "tests")
        if len(parts.parts) == 1 or parts.parts[0] in NO_MIRROR:
            continue
        stem = path.name.removeprefix("test_")
        folder = PACKAGE / parts.parent
        if not (folder / stem).exists() and not (folder / stem.removesuffix(".py") / "__init__.py").exists():
            orphans.append(str(parts))
    assert not orphans, f"tests without a source file: {orphans}"


def public_rooms() -> list[str]:
    """Every module of the package that has an export line."""
    found = ["keras_arch"]
    found += [info.name for info in pkgutil.walk_packages([str(PACKAGE)], "keras_arch.") if info.ispkg]
    return [name for name in found if hasattr(importlib.import_module(name), "__all__")]


def public_names() -> list[tuple[str, str]]:
    return [(room, name) for room in public_rooms() for name in importlib.import_module(room).__all__]


def test_export_lines_are_complete():  # ruff sorts them
    for room in public_rooms():
        module = importlib.import_module(room)
        assert len(set(module.__all__)) == len(module.__all__), room
        assert all(hasattr(module, name) for name in module.__all__), room


@pytest.mark.parametrize(("room", "name"), public_names())
def test_every_public_name_is_documented_with_an_example(room, name):
    thing = getattr(importlib.import_module(room), name)
    if inspect.ismodule(thing):
        assert thing.__doc__
        return
    text = inspect.getdoc(thing) or ""
    assert len(text.splitlines()) > 1, f"{room}.{name} has no docstring beyond a line"
    if callable(thing):
        assert ">>>" in text, f"the docstring of {room}.{name} has no example that runs"


def modules_with_examples() -> list[str]:
    names = []
    for path in sources():
        if ">>>" in path.read_text(encoding="utf-8"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            names.append(".".join(part for part in parts if part != "__init__"))
    return names


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    names = {"keras": keras, "np": np, "ka": keras_arch}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    results = doctest.testmod(module, extraglobs=names, optionflags=flags)
    assert results.attempted > 0
    assert results.failed == 0


def signature_of(thing) -> str:
    """Names, kinds and defaults of the arguments; types print differently from one Python to the next."""
    if not callable(thing):
        return ""
    signature = inspect.signature(thing)
    bare = [part.replace(annotation=inspect.Parameter.empty) for part in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def surface() -> list[str]:
    lines = []
    for room, name in public_names():
        signature = signature_of(getattr(importlib.import_module(room), name))
        # Defaults that are objects print their address, which changes from run to run.
        lines.append(f"{room}.{name}{re.sub(r' at 0x[0-9a-f]+', '', signature)}")
    return sorted(lines)


def test_the_public_surface_is_the_recorded_one():
    recorded = (ROOT / "tests" / "api_surface.txt").read_text(encoding="utf-8").splitlines()
    found = surface()
    news = [f"+ {line}" for line in found if line not in recorded]
    news += [f"- {line}" for line in recorded if line not in found]
    assert not news, "tests/api_surface.txt differs from the package:\n" + "\n".join(news)


def run_python(code: str, **environment: str) -> str:
    settings = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=settings, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_nothing_optional():
    code = f"""
import sys, keras
before = set(sys.modules)  # Keras loads scikit-learn and matplotlib where they are installed
import keras_arch
print(sorted({LAZY!r} & (set(sys.modules) - before)))
"""
    assert run_python(code, KERAS_BACKEND="tensorflow").strip() == "[]"


def test_importing_the_package_leaves_optional_packages_alone_where_keras_does():
    hide = "import sys; sys.modules.update({'sklearn': None, 'matplotlib': None}); import keras_arch; print('fine')"
    assert run_python(hide, KERAS_BACKEND="tensorflow").strip() == "fine"


@pytest.mark.backend
@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="about the other backends: set KERAS_BACKEND")
def test_other_backends_do_not_load_tensorflow():
    look = "'tensorflow' in sys.modules"
    code = f"import sys, keras; before = {look}; import keras_arch; print(before, {look})"
    before, after = run_python(code).split()
    assert after == before
