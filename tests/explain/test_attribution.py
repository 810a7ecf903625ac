"""Attributions: samples picked, numbers stored and read again."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_arch.explain import Attribution, GradCAM, IntegratedGradients

L = keras.layers


@pytest.fixture(scope="module")
def attribution():
    keras.utils.set_random_seed(0)
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    y = L.Dense(3, activation="tanh")(L.Concatenate()([a, b]))
    model = keras.Model({"a": a, "b": b}, (L.Dense(3)(y), L.Dense(1)(y)))
    x = {"a": np.random.default_rng(0).normal(size=(5, 4)), "b": np.ones((5, 2))}
    return IntegratedGradients(baseline={"a": np.arange(4.0), "b": 0.0}).explain(model, x, {0: [0, 1, 2, 0, 1], 1: 0})


def leaves(attribution):
    parts = {name: value for name, value in vars(attribution).items() if name not in ("method", "layer", "output")}
    return [leaf for leaf in keras.tree.flatten(parts) if isinstance(leaf, np.ndarray)]


@pytest.mark.parametrize("key", [slice(1, 3), np.array([4, 0]), np.arange(5) > 2])
def test_samples_are_picked_from_every_part(attribution, key):
    part = attribution[key]
    assert len(part) == len(np.arange(5)[key])
    for got, whole in zip(leaves(part), leaves(attribution), strict=True):
        np.testing.assert_array_equal(got, whole[key])
    assert part.method == attribution.method


def test_an_int_keeps_the_batch_axis_and_iteration_ends(attribution):
    assert attribution[-1].values["a"].shape == (1, 4)
    np.testing.assert_array_equal(attribution[-1].scores, attribution.scores[4:])
    assert [len(one) for one in attribution] == [1] * 5
    with pytest.raises(IndexError, match="sample 5 is out of range: there are 5"):
        attribution[5]


def test_the_error_is_relative_to_the_change_of_the_score(attribution):
    change = np.abs(attribution.scores - attribution.baseline_scores)
    np.testing.assert_allclose(attribution.completeness_error, np.abs(attribution.convergence_delta) / change)


def test_a_stored_attribution_is_read_without_pickle(attribution, tmp_path):
    attribution.save(tmp_path / "a.npz")
    again = Attribution.load(tmp_path / "a.npz")
    assert again.method == attribution.method
    assert again.layer is None
    assert again.output == "model"
    keras.tree.assert_same_structure(again.values, attribution.values)
    assert isinstance(again.predictions, tuple)
    for got, want in zip(leaves(again), leaves(attribution), strict=True):
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored)


def test_what_is_not_an_attribution_is_refused(attribution, tmp_path):
    np.savez(tmp_path / "other.npz", x=np.ones(2))
    with pytest.raises(ValueError, match=r"path must be a file of Attribution.save"):
        Attribution.load(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"path must end in .npz, .png, .pdf or .svg; received path='a.h5'"):
        attribution.save("a.h5")


def test_plot_and_png_show_the_samples(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 1)), L.Conv2D(2, 3), L.Flatten(), L.Dense(2)])
    got = GradCAM().explain(model, np.random.default_rng(0).normal(size=(3, 8, 8, 1)))
    assert len([ax for ax in got.plot(max_samples=2).axes if ax.images]) == 4
    got.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_printed_attribution_is_short(attribution):
    text = repr(attribution)
    assert text.startswith("Attribution(IntegratedGradients(baseline={'a': array")
    assert "5 samples, values (5, 4), (5, 2), completeness error" in text
    assert len(text) < 200


def net(units=1):
    dense = L.Dense(units, kernel_initializer="random_normal", bias_initializer="ones")
    return keras.Sequential([keras.Input((3, 2)), L.Flatten(), dense])


@pytest.fixture(scope="module")
def two():
    keras.utils.set_random_seed(1)
    x = np.random.default_rng(1).normal(size=(4, 3, 2)).astype("float32")
    return [IntegratedGradients().explain(net(), x) for _ in range(2)], x


def test_sums_and_differences_are_those_of_values_scores_and_deltas(two):
    (a, b), x = two
    for got, sign in ((a + b, 1), (a - b, -1)):
        np.testing.assert_array_equal(got.values, a.values + sign * b.values)
        np.testing.assert_array_equal(got.scores, a.scores + sign * b.scores)
        change = got.scores - got.baseline_scores
        np.testing.assert_allclose(got.values.sum((1, 2)), change, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(got.convergence_delta, got.values.sum((1, 2)) - change, atol=1e-5)
        np.testing.assert_array_equal(got.inputs, x)
        assert got.method == a.method
        assert (got.baseline is None) == (a.baseline is None)


def test_numbers_scale_and_magnitudes_lose_the_delta(two):
    (a, _), _ = two
    for got in (2 * a, a * 2.0, a / 0.5):
        np.testing.assert_allclose(got.values, 2 * a.values)
        np.testing.assert_allclose(got.convergence_delta, 2 * a.convergence_delta)
        assert got.values.dtype == got.scores.dtype == np.float32
    np.testing.assert_array_equal((-a).values, -a.values)
    np.testing.assert_array_equal(abs(a).values, np.abs(a.values))
    assert abs(a).convergence_delta is None
    with pytest.raises(TypeError):
        a + 1
    with pytest.raises(TypeError):
        a * a


def test_other_methods_and_structures(two, attribution):
    (a, _), x = two
    other = IntegratedGradients(steps=3).explain(net(), x)
    assert (a - other).method is None
    assert "None" not in repr(a - other)
    with pytest.raises(ValueError, match=r"attributions must have equal structures to be added; .*\(4, 3, 2\)"):
        a + attribution
    with pytest.raises(ValueError, match="attributions must have equal structures to be subtracted"):
        a - a[:2]


@pytest.mark.parametrize(
    ("how", "want"),
    [
        ("sum", lambda v: v.sum(-1)),
        ("mean", lambda v: v.mean(-1)),
        ("absolute", lambda v: np.abs(v).sum(-1)),
        ("max", lambda v: np.abs(v).max(-1)),
        ("norm", lambda v: np.linalg.norm(v, axis=-1)),
    ],
)
def test_channels_are_reduced(two, how, want):
    (a, _), _ = two
    got = a.reduce(how)
    assert got.values.shape == (4, 3, 1)
    np.testing.assert_allclose(got.values[..., 0], want(a.values), rtol=1e-6)
    assert (got.convergence_delta is None) == (how != "sum")


def test_features_without_channels_are_not_reduced(attribution):
    keras.tree.map_structure(np.testing.assert_array_equal, attribution.reduce().values, attribution.values)
    with pytest.raises(ValueError, match="how must be"):
        attribution.reduce("median")


def test_parts_are_joined_to_the_whole(attribution):
    whole = Attribution.concatenate([attribution[:2], attribution[2:]])
    for got, want in zip(leaves(whole), leaves(attribution), strict=True):
        np.testing.assert_array_equal(got, want)
    assert whole.method == attribution.method
    with pytest.raises(ValueError, match="parts must hold at least one"):
        Attribution.concatenate([])


def test_parts_of_other_methods_or_structures_are_not_joined(two, attribution):
    (a, _), x = two
    with pytest.raises(ValueError, match="parts must come from one method at one layer"):
        Attribution.concatenate([a, IntegratedGradients(steps=3).explain(net(), x)])
    with pytest.raises(ValueError, match="parts must .* one structure of values|parts must come from one method"):
        Attribution.concatenate([a, attribution])


def test_details_and_the_output_follow(two, tmp_path):
    (a, _), x = two
    known = dataclasses.replace(a, details={"fidelity": np.arange(4.0)}, output="logits")
    np.testing.assert_array_equal(known[1:3].details["fidelity"], [1, 2])
    known.save(tmp_path / "a.npz")
    again = Attribution.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.details["fidelity"], np.arange(4.0))
    assert again.output == "logits"
    joined = Attribution.concatenate([known[:1], known[1:]])
    np.testing.assert_array_equal(joined.details["fidelity"], np.arange(4.0))
    few, many = (dataclasses.replace(a, details={"features": np.ones((4, size))}) for size in (2, 3))
    wide = Attribution.concatenate([few, many]).details["features"]
    assert wide.shape == (8, 3)
    assert np.isnan(wide[:4, 2]).all()
    with pytest.raises(ValueError, match="parts must come from one method at one layer and output"):
        Attribution.concatenate([a, known])
    assert IntegratedGradients().explain(net(), x, output="logits").output == "logits"
