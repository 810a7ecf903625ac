"""Every example runs, at a small size, and shows what it says."""

import importlib.util
import pathlib

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "examples"
SMALL = {
    "check_your_layer": {},
    "explain_digits": {"epochs": 1},
    "prune_and_quantize_digits": {"epochs": 2},
    "recurrent_on_digits": {"epochs": 2},
    "transformer_on_digits": {"epochs": 2},
}
SHOWN = {
    "check_your_layer": lambda said, printed: "Average fails" in said and "padding" in said,
    "explain_digits": lambda error, printed: 0 <= error < 0.05 and "explanations.png" in printed,
    "prune_and_quantize_digits": lambda accuracy, printed: accuracy > 0.8 and "80.0 %" in printed,
    "recurrent_on_digits": lambda accuracy, printed: accuracy > 0.5,
    "transformer_on_digits": lambda accuracy, printed: accuracy > 0.5,
}


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_a_case():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SMALL) == set(SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SMALL))
def test_example_shows_what_it_says(name, capsys):
    pytest.importorskip("sklearn", reason="needs the extra keras-arch[demo]")
    result = load(name).main(**SMALL[name])
    assert SHOWN[name](result, capsys.readouterr().out)
