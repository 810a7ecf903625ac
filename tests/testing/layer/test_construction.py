"""Checks of the constructor and the config, each seen to notice what it is for."""

import keras
import pytest
from oracles.scaling_layer import Scaling

from keras_arch.testing.layer.construction import CONSTRUCTION, constructor_arguments

pytestmark = pytest.mark.backend
register = keras.saving.register_keras_serializable("construction")
BY_CONFIG = ("built_at_init", "revived_layer_agrees", "keras_file", *(one.name for one in CONSTRUCTION))


@register
class ConfigAddsUp(Scaling):
    def get_config(self):
        return {**super().get_config(), "start": self.start + 1.0}


@register
class ForgetsArgument(Scaling):
    def __init__(self, start=2.0, label="none", **kwargs):
        super().__init__(start, **kwargs)
        self.label = label


@register
class WritesConstant(ForgetsArgument):
    def get_config(self):
        return {**super().get_config(), "label": "none"}


class Unregistered(Scaling):
    pass


class _Nowhere:
    @staticmethod
    def local_class():
        class Local(Scaling):
            pass

        return Local


@register
class RevivedInAnotherMode(Scaling):
    exact = True

    def call(self, inputs):
        return super().call(inputs) * (1.0 if self.exact else 1.01)

    @classmethod
    def from_config(cls, config):
        layer = cls(**config)
        layer.exact = False
        return layer


@register
class NewAttributeWhenRevived(Scaling):
    @classmethod
    def from_config(cls, config):
        layer = cls(**config)
        layer.came_from_config = True
        return layer


@register
class ForwardsKeywords(ForgetsArgument):
    def __init__(self, depth, **kwargs):
        super().__init__(label="fixed", **kwargs)
        self.depth = depth


def test_a_right_layer_passes(failures, only):
    assert failures(Scaling, {"start": 3.0}, skip=only(*BY_CONFIG)) == {}


def test_a_config_that_changes_the_value(failures, only):
    found = failures(ConfigAddsUp, skip=only(*BY_CONFIG))
    assert "start: 3.0 became 4.0" in found["config_round_trip"]
    assert {"config_round_trip", "class_serialization"} <= set(found)


def test_an_attribute_that_only_a_revived_layer_has(failures, only):
    found = failures(NewAttributeWhenRevived, skip=only(*BY_CONFIG))
    assert set(found) == {"config_round_trip", "class_serialization"}
    assert "came_from_config" in found["config_round_trip"]


def test_a_forgotten_argument(failures, only):
    found = failures(ForgetsArgument, skip=only(*BY_CONFIG))
    assert set(found) == {"config_holds_every_argument"}
    assert "the config lacks: label" in found["config_holds_every_argument"]


def test_a_forgotten_argument_may_be_excused(failures, only):
    options = {"skip": only(*BY_CONFIG), "unsaved_arguments": {"label": "for people only"}}
    assert failures(ForgetsArgument, **options) == {}


def test_an_argument_written_as_its_default(failures, only):
    assert failures(WritesConstant, skip=only(*BY_CONFIG)) == {}
    found = failures(WritesConstant, {"label": "mine"}, skip=only(*BY_CONFIG))
    assert set(found) == {"config_holds_every_argument"}
    assert "both for label='mine' and for the default 'none'" in found["config_holds_every_argument"]


def test_a_class_that_can_not_be_found_again(failures, only):
    found = failures(_Nowhere.local_class(), skip=only(*BY_CONFIG))
    assert set(found) == {"class_serialization", "keras_file"}
    assert "not registered" in found["class_serialization"]


def test_custom_objects_stand_in_for_registering(failures, only):
    local = _Nowhere.local_class()
    assert failures(local, skip=only(*BY_CONFIG), custom_objects={"Local": local}) == {}


def test_a_revived_layer_that_computes_something_else(failures, only):
    found = failures(RevivedInAnotherMode, skip=only(*BY_CONFIG))
    assert set(found) == {"revived_layer_agrees", "keras_file"}
    assert "differs by 0.01 of its largest magnitude" in found["revived_layer_agrees"]


def test_expecting_to_be_built_at_once(failures, only):
    found = failures(Scaling, skip=only(*BY_CONFIG), expect={"built_at_init": True})
    assert set(found) == {"built_at_init"}
    assert failures(keras.layers.ReLU, skip=only(*BY_CONFIG), expect={"built_at_init": True}) == {}


def test_arguments_are_collected_as_far_as_keywords_are_handed_on():
    assert list(constructor_arguments(ForwardsKeywords)) == ["depth", "start", "label"]
