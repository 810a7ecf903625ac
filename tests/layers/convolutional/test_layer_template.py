import keras
import pytest

from keras_arch.layers.convolutional.layer_template import as_normalization


def test_layers_are_made_after_the_template_each_with_weights_of_its_own():
    template = as_normalization(keras.layers.GroupNormalization(2, epsilon=0.1))
    first, second = template.make(name="first"), template.make(name="second", epsilon=0.2)
    first.build((None, 3, 4))
    assert (first.groups, first.epsilon, second.epsilon, second.built) == (2, 0.1, 0.2, False)


def test_a_built_layer_is_no_more_than_its_config():
    layer = keras.layers.BatchNormalization(momentum=0.5)
    layer.build((None, 4))
    made = as_normalization(layer).make(name="other")
    assert (made.momentum, made.built) == (0.5, False)
    made.build((None, 6))


@pytest.mark.parametrize("identifier", ["instance", 3, keras.layers.BatchNormalization])
def test_other_choices_are_refused(identifier):
    with pytest.raises(ValueError, match="normalization must be"):
        as_normalization(identifier)
