"""The pointing game against loops over positions, and against Quantus."""

import warnings

import keras
import numpy as np
import pytest
from oracles.explain_metrics import hit

from keras_arch.explain import Attribution
from keras_arch.explain.metrics import PointingGame, pointing_game


def of(values, inputs=None):
    inputs = np.zeros(values.shape, "float32") if inputs is None else inputs
    return Attribution(values, inputs, None, None, np.zeros(len(values)))


@pytest.mark.backend
@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 2, 3])
def test_hits_equal_the_loop(rng, tolerance):
    values = rng.normal(size=(40, 8, 7, 3)).astype("float32")
    masks = rng.random((40, 8, 7)) > 0.93
    got = pointing_game(None, of(values), regions=masks, tolerance=tolerance).values
    for one in range(40):
        if masks[one].any():
            assert got[one] == hit(values[one].sum(-1), masks[one], tolerance)
        else:
            assert np.isnan(got[one])
    assert 0 < np.nanmean(got) < 1
    assert PointingGame.direction == "higher"


@pytest.mark.backend
def test_boxes_are_masks(rng):
    values = rng.normal(size=(3, 8, 7, 1)).astype("float32")
    masks = np.zeros((3, 8, 7), bool)
    masks[0, 1:4, 2:6] = masks[1, 0:2, 0:1] = masks[1, 6:8, 5:7] = masks[2, 3:5, 3:5] = True
    boxes = [(1, 2, 4, 6), [(0, 0, 2, 1), (6, 5, 8, 7)], [(3.2, 3, 4.5, 4.9)]]
    want = pointing_game(None, of(values), regions=masks, tolerance=1).values
    np.testing.assert_array_equal(pointing_game(None, of(values), regions=boxes, tolerance=1).values, want)
    np.testing.assert_array_equal(pointing_game(None, of(values), regions=masks[..., None], tolerance=1).values, want)


@pytest.mark.backend
def test_signals_features_and_tokens_have_positions_too():
    values = np.array([[0.0, 0.0, 5.0, 1.0, 0.0]], "float32")
    for attribution in (
        of(values),
        of(values[..., None]),
        of(values[..., None], np.zeros((1, 5, 3), "float32")),
        of(np.repeat(values[..., None], 4, -1), np.zeros((1, 5), "int32")),
    ):
        assert pointing_game(None, attribution, regions=[(2, 3)], tolerance=0).values.tolist() == [1]
        assert pointing_game(None, attribution, regions=[(0, 2)], tolerance=0).values.tolist() == [0]
        assert pointing_game(None, attribution, regions=[(0, 2)], tolerance=1).values.tolist() == [1]


@pytest.mark.backend
def test_a_constant_map_points_nowhere_and_of_equal_maxima_the_first_counts():
    everywhere = np.ones((1, 4), bool)
    assert pointing_game(None, of(np.full((1, 4), 2.0)), regions=everywhere, tolerance=0).values.tolist() == [0]
    twice = of(np.array([[0.0, 1.0, 0.0, 1.0]]))
    assert pointing_game(None, twice, regions=[(1, 2)], tolerance=0).values.tolist() == [1]
    assert pointing_game(None, twice, regions=[(3, 4)], tolerance=0).values.tolist() == [0]


@pytest.mark.backend
def test_a_sample_without_an_object_has_no_value():
    values = np.array([[0.0, 1.0], [0.0, 1.0]])
    got = pointing_game(None, of(values), regions=[[], (1, 2)], tolerance=0)
    np.testing.assert_array_equal(got.values, [np.nan, 1])
    assert got.mean == 1


@pytest.mark.backend
def test_a_game_survives_serialisation():
    game = PointingGame(regions=[[(0, 0, 2, 2)], [(1, 1, 3, 3), (0, 0, 1, 1)]], tolerance=0)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(game))
    values = np.arange(32.0).reshape(2, 4, 4, 1)
    np.testing.assert_array_equal(again.measure(None, of(values)).values, game.measure(None, of(values)).values)
    masks = PointingGame(regions=np.ones((2, 4, 4), bool), tolerance=1)
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(masks)) == masks
    assert repr(masks) == "PointingGame(regions=array(2, 4, 4), tolerance=1)"


@pytest.mark.backend
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"regions": np.ones((2, 4, 5), bool), "tolerance": 0}, r"regions must be masks of shape \(1, 4, 4\)"),
        ({"regions": np.ones((1, 4, 4)), "tolerance": 0}, "regions must have boxes of 4 numbers"),
        ({"regions": [(0, 0, 2, 2)] * 2, "tolerance": 0}, "hold boxes for 1 samples"),
        ({"regions": [(2, 0, 2, 2)], "tolerance": 0}, "the first ones below the last ones"),
        ({"regions": [(0, 2)], "tolerance": 0}, "regions must have boxes of 4 numbers"),
        (
            {"regions": [(0, 0, 2, 2)]},
            r"tolerance must let its circle fit into positions \(4, 4\); received tolerance=15",
        ),
    ],
)
def test_regions_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PointingGame(**settings).measure(None, of(np.ones((1, 4, 4, 1))))


@pytest.mark.backend
def test_regions_are_asked_for_and_several_inputs_refused():
    with pytest.raises(ValueError, match=r"regions must say where the objects are; received regions=None"):
        PointingGame()
    with pytest.raises(ValueError, match="tolerance must be a number"):
        PointingGame(regions=[(0, 1)], tolerance=-1)
    several = Attribution(
        [np.ones((1, 2)), np.ones((1, 3))], [np.ones((1, 2)), np.ones((1, 3))], None, None, np.zeros(1)
    )
    with pytest.raises(ValueError, match="attribution must be of one input to point somewhere"):
        pointing_game(None, several, regions=[(0, 1)], tolerance=0)


@pytest.mark.oracle
def test_it_equals_quantus(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = pytest.importorskip("quantus", reason="needs quantus")
    values = rng.normal(size=(30, 6, 6, 1)).astype("float32")
    masks = rng.random((30, 6, 6)) > 0.6
    metric = peer.PointingGame(abs=False, normalise=False, disable_warnings=True, display_progressbar=False)
    theirs = metric.evaluate_batch(a_batch=values[..., 0][:, None], s_batch=masks[:, None])
    got = pointing_game(None, of(values), regions=masks, tolerance=0).values
    np.testing.assert_array_equal(got, np.asarray(theirs, "float32"))
