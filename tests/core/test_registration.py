"""Registered names do not depend on where a class lives."""

import keras

from keras_arch.core.registration import register


def test_a_registered_class_is_found_by_its_package_name():
    @register
    class OnlyForThisTest(keras.layers.Layer):
        pass

    assert keras.saving.get_registered_object("keras_arch>OnlyForThisTest") is OnlyForThisTest
    assert keras.saving.get_registered_name(OnlyForThisTest) == "keras_arch>OnlyForThisTest"
