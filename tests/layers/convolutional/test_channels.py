import keras
import pytest

from keras_arch.layers.convolutional.channels import as_data_format, known_channels


def test_none_takes_the_setting_of_keras():
    assert as_data_format(None) == keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        assert as_data_format(None) == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")


def test_channels_stand_where_the_layout_says():
    assert known_channels((None, 3, None, 5), "channels_last") == 5
    assert known_channels((None, 3, None, 5), "channels_first") == 3


@pytest.mark.parametrize(("shape", "layout"), [((1, 2, 3), "channels_last"), ((1, None, 2, 3), "channels_first")])
def test_other_inputs_are_refused(shape, layout):
    with pytest.raises(ValueError, match="with a known number of channels; received inputs="):
        known_channels(shape, layout, most_rank=4)
