"""Which layer gets which rule."""

import keras
import pytest

from keras_arch.explain.relevance.composite import PRESETS, Composite, preset
from keras_arch.explain.relevance.rules import AlphaBetaRule, EpsilonRule, FlatRule, GammaRule, ZBoxRule


def test_path_goes_before_position_before_kind():
    named, other = GammaRule(0.1), GammaRule(0.2)
    composite = Composite({"block1_*": named, "*_conv1": other}, FlatRule(), AlphaBetaRule(1, 0), EpsilonRule(0.3))
    for path, convolution, first, want in (
        ("block1_conv1", True, True, named),
        ("block2_conv1", True, False, other),
        ("block2_conv2", True, True, FlatRule()),
        ("block2_conv2", True, False, AlphaBetaRule(1, 0)),
        ("head", False, False, EpsilonRule(0.3)),
    ):
        assert composite.rule_for(path, is_convolution=convolution, sees_input=first) == want


def test_presets_are_those_of_the_literature():
    def made(name):
        return preset(name, 0.5, 0.3, 3, 2, 0.0, 1.0)

    plain = EpsilonRule(0.5)
    assert made("epsilon") == Composite((), None, plain, plain)
    assert made("gamma") == Composite((), None, GammaRule(0.3), GammaRule(0.3))
    assert made("alpha_beta") == Composite((), None, AlphaBetaRule(3, 2), AlphaBetaRule(3, 2))
    assert made("epsilon_gamma") == Composite((), None, GammaRule(0.3), plain)
    assert made("epsilon_gamma_box") == Composite((), ZBoxRule(0.0, 1.0), GammaRule(0.3), plain)
    assert made("epsilon_plus") == Composite((), None, AlphaBetaRule(1, 0), plain)
    assert made("epsilon_plus_flat") == Composite((), FlatRule(), AlphaBetaRule(1, 0), plain)
    assert made("epsilon_alpha2_beta1") == Composite((), None, AlphaBetaRule(2, 1), plain)
    assert made("epsilon_alpha2_beta1_flat") == Composite((), FlatRule(), AlphaBetaRule(2, 1), plain)
    assert len({repr(made(name)) for name in PRESETS}) == len(PRESETS)


def test_a_composite_is_a_value_that_is_stored():
    composite = Composite({"a*": GammaRule(0.1)}, ZBoxRule((0.0, 1.0), 2.0))
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(composite)) == composite
    assert hash(composite) == hash(Composite((("a*", GammaRule(0.1)),), ZBoxRule([0.0, 1.0], 2.0)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dense": "epsilon"}, "dense must be a rule"),
        ({"convolution": FlatRule()}, "convolution must not be a rule that looks at the model's input"),
        ({"paths": {"a": ZBoxRule(0.0, 1.0)}}, r"paths\['a'\] must not be a rule"),
    ],
)
def test_what_is_no_rule_there_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Composite(**arguments)
