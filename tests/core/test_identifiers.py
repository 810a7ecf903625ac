"""String ids come from a room's export line."""

import types

import pytest

from keras_arch.core.identifiers import identifiers, resolve, resolve_or, snake_case
from keras_arch.core.registration import register


class ScoreCAM:
    pass


class Magnitude:
    pass


class Hidden:
    pass


@register
def wobble(x):
    return x


def get(identifier):
    return identifier


ROOM = types.ModuleType("room")
ROOM.__dict__.update(ScoreCAM=ScoreCAM, Magnitude=Magnitude, Hidden=Hidden, get=get, number=3, wobble=wobble)
ROOM.__all__ = ["Magnitude", "ScoreCAM", "get", "number", "wobble"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GroupLasso", "group_lasso"),
        ("MinGRU", "min_gru"),
        ("LRU", "lru"),
        ("ICNR", "icnr"),
        ("GradCAM", "grad_cam"),
        ("LayerNormLSTMCell", "layer_norm_lstm_cell"),
        ("RelativePositionBias2D", "relative_position_bias_2d"),
    ],
)
def test_class_names_become_snake_case(name, expected):
    assert snake_case(name) == expected


def test_only_exported_classes_and_registered_functions_have_ids():
    assert set(identifiers(ROOM)) == {"magnitude", "Magnitude", "score_cam", "ScoreCAM", "wobble"}


@pytest.mark.parametrize("identifier", ["wobble", "keras_arch>wobble", wobble])
def test_the_id_of_a_function_gives_the_function_itself(identifier):
    assert resolve_or(identifier, ROOM, keras_get) is wobble


def test_resolve_gives_functions_too():
    assert resolve("activation", "wobble", ROOM) is wobble


def test_resolve_makes_an_instance_from_an_id_or_a_class():
    assert type(resolve("criterion", "score_cam", ROOM)) is ScoreCAM
    assert type(resolve("criterion", "Magnitude", ROOM)) is Magnitude
    assert type(resolve("criterion", Hidden, ROOM)) is Hidden


def test_resolve_returns_objects_as_they_are():
    thing = Hidden()
    assert resolve("criterion", thing, ROOM) is thing
    assert resolve("criterion", None, ROOM) is None


def test_an_unknown_id_names_the_nearest():
    with pytest.raises(
        ValueError, match="one of 'magnitude', 'score_cam', 'wobble'; received criterion='magnitud'. Did you mean"
    ):
        resolve("criterion", "magnitud", ROOM)


def keras_get(identifier):
    if identifier == "theirs" or not isinstance(identifier, str):
        return identifier
    raise TypeError("unknown to Keras")


@pytest.mark.parametrize("identifier", ["score_cam", "ScoreCAM", "keras_arch>ScoreCAM"])
def test_resolve_or_makes_an_instance_from_an_id_of_the_room(identifier):
    assert type(resolve_or(identifier, ROOM, keras_get)) is ScoreCAM


@pytest.mark.parametrize("identifier", ["theirs", None, {"class_name": "L2"}, Hidden])
def test_resolve_or_hands_everything_else_to_keras(identifier):
    assert resolve_or(identifier, ROOM, keras_get) is identifier


def test_resolve_or_names_the_nearest_of_our_ids():
    with pytest.raises(ValueError, match="or one that Keras knows; received identifier='ScorCAM'. Did you mean 'score"):
        resolve_or("ScorCAM", ROOM, keras_get)
    with pytest.raises(ValueError, match="received identifier='zzz'. Pass one of these"):
        resolve_or("zzz", ROOM, keras_get)
