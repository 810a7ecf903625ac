"""Losses after rounding one layer, computed by hand in NumPy; and a model that is left alone."""

import json

import keras
import numpy as np
import pytest
from keras import layers
from oracles.fake_quant import fake_quant_channels_loop, fake_quant_loop

from keras_arch.compression import (
    LayerQuantizationSensitivity,
    PerChannel,
    QuantizationSensitivityReport,
    Scheme,
    quantization_sensitivity,
    quantize,
)

pytestmark = pytest.mark.backend

BITS = (8, 4, 3)  # whose grids do not nest, so that rounding twice would show


def compiled(**settings):
    body, head = layers.Dense(4, use_bias=False, name="body"), layers.Dense(2, use_bias=False, name="head")
    model = keras.Sequential([keras.Input((6,)), body, head])
    model.compile(keras.optimizers.SGD(0.1), **{"loss": "mse", "metrics": ["mae"], **settings})
    return model


@pytest.fixture
def data(rng):
    return rng.normal(size=(10, 6)).astype("float32"), rng.normal(size=(10, 2)).astype("float32")


def by_hand(x, y, body, head):
    """Loss and metric of the linear network, in float64."""
    gap = x.astype("float64") @ body.astype("float64") @ head.astype("float64") - y
    return {"loss": np.mean(gap**2), "mae": np.mean(np.abs(gap))}


def rounded(kernel, bits):
    bound = np.abs(kernel).max()
    return fake_quant_loop(kernel, -bound, bound, bits, True)


def state_of(model):
    return [(variable.path, variable.numpy().tobytes()) for variable in model.variables]


def test_losses_and_metrics_are_those_of_the_linear_network_by_hand(data):
    model = compiled()
    body, head = model.get_weights()
    before = state_of(model)
    report = quantization_sensitivity(model, *data, bits=[3, 8, 4], batch_size=5, verbose=0)
    assert report.bits == BITS
    assert [(row.path, row.size) for row in report.layers] == [("body", 24), ("head", 8)]
    assert set(report.baseline) == {"loss", "mae"}
    for metric, value in by_hand(*data, body, head).items():
        assert report.baseline[metric] == pytest.approx(value, rel=1e-5)
        for place, bits in enumerate(BITS):
            first = by_hand(*data, rounded(body, bits), head)[metric]
            second = by_hand(*data, body, rounded(head, bits))[metric]
            assert report.layers[0].values[metric][place] == pytest.approx(first, rel=1e-4)
            assert report.layers[1].values[metric][place] == pytest.approx(second, rel=1e-4)
    assert state_of(model) == before
    assert [layer.name for layer in model.layers] == ["body", "head"]


def test_a_scheme_of_ones_own_rounds_the_kernels(data):
    model = compiled()
    body, head = model.get_weights()
    scheme = Scheme(8, granularity=PerChannel(-1), narrow=True)
    report = quantization_sensitivity(model, *data, bits=[2], weights=scheme, exclude=["head"], verbose=0)
    assert [row.path for row in report.layers] == ["body"]
    bound = np.abs(body).max(0)
    expected = by_hand(*data, fake_quant_channels_loop(body, -bound, bound, 2, True, 1), head)["loss"]
    assert report.layers[0].values["loss"][0] == pytest.approx(expected, rel=1e-4)


def test_a_measure_is_given_the_copy_with_one_layer_rounded():
    model, seen = compiled(), []
    values = model.get_weights()

    def measure(copied):
        assert copied is not model
        seen.append(copied.get_weights()[:1] + copied.get_layer("head").layer.get_weights())
        return len(seen)

    report = quantization_sensitivity(model, measure=measure, bits=[2], verbose=0)
    assert report.baseline == {"measure": 1.0}
    assert [row.values["measure"] for row in report.layers] == [(2.0,), (3.0,)]
    for kernels, changed in zip(seen, ((), (0,), (1,)), strict=True):
        for place, (kernel, value) in enumerate(zip(kernels, values, strict=True)):
            assert np.array_equal(kernel, value) is (place not in changed)


def test_every_kernel_of_a_layer_is_rounded(rng):
    model = keras.Sequential([keras.Input((5, 3)), layers.LSTM(4, name="lstm")])
    model.compile(loss="mse")
    x, y = rng.normal(size=(6, 5, 3)), rng.normal(size=(6, 4))
    report = quantization_sensitivity(model, x, y, bits=[3], verbose=0)
    assert report.layers[0].size == 3 * 16 + 4 * 16
    kernel, recurrent, bias = model.get_weights()
    model.set_weights([rounded(kernel, 3), rounded(recurrent, 3), bias])
    assert report.layers[0].values["loss"][0] == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-4)


def test_proposals_are_what_quantize_takes_as_overrides(data):
    model = compiled()
    report = quantization_sensitivity(model, *data, bits=BITS, verbose=0)
    losses = report.layers[0].values["loss"]
    proposed = report.lowest_bits(drop=abs(losses[1] - report.baseline["loss"]) + 1e-5)
    assert proposed["body"] in (4, 3)
    q = quantize(model, overrides=proposed)
    got = {name: q.get_layer(name).weights_scheme.bits for name in proposed}
    assert got == {name: bits or 8 for name, bits in proposed.items()}


def report_of(*values, metric="loss", baseline=1.0):
    return QuantizationSensitivityReport(
        (8, 4, 2), {metric: baseline}, (LayerQuantizationSensitivity("a", 9, {metric: values}),)
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1.0, 1.05, 1.1), 2),
        ((1.0, 1.05, 1.2), 4),
        ((1.0, 1.2, 1.0), 8),
        ((1.2, 1.0, 1.0), None),
        ((0.5, 0.5, 0.5), 2),
    ],
)
def test_the_lowest_bits_before_the_first_that_cost_too_much_are_proposed(values, expected):
    assert report_of(*values).lowest_bits(0.1) == {"a": expected}
    higher = tuple(-value for value in values)
    assert report_of(*higher, metric="accuracy", baseline=-1.0).lowest_bits(0.1) == {"a": expected}


def test_metrics_and_drops_that_break_their_rule_are_refused():
    with pytest.raises(ValueError, match="drop must be"):
        report_of(1, 1, 1).lowest_bits(-1)
    with pytest.raises(ValueError, match="metric must be one of 'loss'"):
        report_of(1, 1, 1).lowest_bits(0, "auc")
    with pytest.raises(ValueError, match="mode must be 'min' or 'max' for the unknown metric 'fun'"):
        report_of(1, 1, 1, metric="fun").lowest_bits(0)


def test_text_and_plain_data_hold_every_number():
    report = report_of(1.0, 1.25, 2.5)
    assert str(report).splitlines() == [
        "layer  size  metric  8 bits  4 bits  2 bits",
        "a         9  loss         1    1.25     2.5",
        "nothing rounded: loss 1",
    ]
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["bits"] == [8, 4, 2]
    assert plain["layers"][0]["values"]["loss"] == [1.0, 1.25, 2.5]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"bits": []}, "bits must be one or more integers"),
        ({"bits": "8"}, "bits must be one or more integers"),
        ({"bits": [8, 16]}, r"bits\[1\] must be an integer >= 2 and <= 8"),
        ({"bits": [1]}, r"bits\[0\] must be"),
        ({"weights": 4}, "weights must be a Scheme"),
        ({"verbose": True}, "verbose must be"),
        ({"measure": 3}, "measure must be a callable"),
        ({"measure": lambda model: float("nan")}, "must return finite numbers"),
    ],
)
def test_arguments_that_break_their_rule_are_refused(options, match):
    options = {"measure": lambda model: 1.0, **options}
    with pytest.raises(ValueError, match=match):
        quantization_sensitivity(compiled(), **{"verbose": 0, **options})


def test_a_model_that_cannot_be_evaluated_is_refused(data):
    with pytest.raises(ValueError, match="x must be data to evaluate on"):
        quantization_sensitivity(compiled(), verbose=0)
    with pytest.raises(ValueError, match="model must be compiled to be evaluated"):
        quantization_sensitivity(keras.Sequential([keras.Input((6,)), layers.Dense(2)]), *data, verbose=0)


def test_a_loss_that_cannot_be_copied_asks_for_a_measure(data):
    model = compiled(loss=lambda y, z: keras.ops.mean(keras.ops.square(y - z), axis=-1))
    with pytest.raises(ValueError, match="that Keras can serialise .*pass a measure"):
        quantization_sensitivity(model, *data, verbose=0)


def test_a_bar_shows_how_far_it_is(data, capsys):
    quantization_sensitivity(compiled(), *data, bits=[4], verbose=1)
    assert "3/3" in capsys.readouterr().out
