"""Every example runs, at a small size, and shows what it says."""

import importlib.util
import pathlib

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "examples"
SMALL = {
    "check_your_layer": {},
    "cluster_digits": {"epochs": 4},
    "convolutional_on_digits": {"epochs": 4, "filters": 8},
    "elman_network": {"epochs": 2, "files": 8, "units": 48},
    "encoder_decoder": {"epochs": 1, "count": 500 + 64 * 30, "longest": 16, "features": 48, "blocks": 1},
    "explain_digits": {"epochs": 1},
    "explain_without_gradients": {"epochs": 4, "masks": 400},
    "forecast_co2": {"epochs": 10, "units": 16},
    "forecast_sunspots": {"epochs": 15, "units": 16},
    "language_model": {"files": 9, "length": 64, "features": 48, "blocks": 1, "steps": 40},
    "prune_and_quantize_digits": {"epochs": 2},
    "prune_cluster_quantize_digits": {"epochs": 4},
    "recurrent_on_digits": {"epochs": 2},
    "select_features": {"epochs": 60},
    "shrink_residual_network": {"epochs": 3, "filters": 12},
    "text_transformer": {"epochs": 2, "count": 1920, "length": 48, "features": 32, "blocks": 1},
    "transformer_on_digits": {"epochs": 2},
    "vision_transformer": {"epochs": 4, "count": 640, "features": 32, "blocks": 1},
}
SHOWN = {
    "check_your_layer": lambda said, printed: "Average fails" in said and "padding" in said,
    "cluster_digits": lambda accuracies, printed: (
        min(accuracies) > 0.8 and accuracies[1] > accuracies[0] - 0.03 and "bytes as indices and values" in printed
    ),
    "convolutional_on_digits": lambda accuracy, printed: accuracy > 0.7,
    "elman_network": lambda bits, printed: (
        bits["later letters"] < bits["first letters"] - 0.2 and bits["all letters"] < bits["by counts"] - 0.05
    ),
    "encoder_decoder": lambda shares, printed: shares[0] > 0.2 and shares[2] > 0.999,  # the commonest letter: 0.1
    "explain_digits": lambda error, printed: 0 <= error < 0.05 and "explanations.png" in printed,
    "explain_without_gradients": lambda found, printed: (
        found["distance"] < 1e-5 and found["fidelity"] > 0.3 and "Shapley values sees" in printed
    ),
    "forecast_co2": lambda errors, printed: errors["encoder and decoder"] < 0.8 * errors["last month"],
    "forecast_sunspots": lambda errors, printed: (
        max(errors[name] for name in ("many-to-one", "sequence", "parallel")) < 1.5 * errors["last cycle"]
    ),
    "language_model": lambda said, printed: said[0] < said[1] - 0.5 and said[2] and "per second" in printed,
    "prune_and_quantize_digits": lambda accuracy, printed: accuracy > 0.8 and "80.0 %" in printed,
    "prune_cluster_quantize_digits": lambda found, printed: (
        min(accuracy for accuracy, _ in found.values()) > 0.8
        and found["zeros"][1] < 0.6 * found["nothing"][1]
        and found["values"][1] < 0.8 * found["nothing"][1]
        and found["zeros and values"][1] < 0.9 * found["zeros"][1]
    ),
    "recurrent_on_digits": lambda accuracy, printed: accuracy > 0.5,
    "select_features": lambda found, printed: found[0] > 0.3 and 1 < len(found[1]) < 10 and "not read" in printed,
    "shrink_residual_network": lambda results, printed: all(
        accuracy > 0.6 and parameters < 0.3 * results["whole"][1]
        for name, (accuracy, parameters) in results.items()
        if name != "whole"
    ),
    "text_transformer": lambda accuracy, printed: accuracy > 0.5 and "docstring" in printed,  # by chance 1/3
    "transformer_on_digits": lambda accuracy, printed: accuracy > 0.5,
    "vision_transformer": lambda accuracies, printed: accuracies[0] > 0.6 and min(accuracies[1:]) > 0.7,
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
    pytest.importorskip("sklearn", reason="needs the extra keras-arch[examples]")
    pytest.importorskip("statsmodels", reason="needs the extra keras-arch[examples]")
    result = load(name).main(**SMALL[name])
    assert SHOWN[name](result, capsys.readouterr().out)
