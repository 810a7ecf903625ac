"""The three models of the demo: stock Keras code around layers of keras_arch."""

import keras

from keras_arch.layers import LayerNormLSTMCell, SinusoidalPositionEncoding, TransformerEncoderBlock

CLASSES = 10


def convolutional(filters: int = 24, units: int = 64) -> keras.Model:
    """A small CNN of 8 x 8 images: two Conv-BN-ReLU, pooling, one Conv, two Dense; logits come out.

    >>> convolutional().output_shape
    (None, 10)
    """
    inputs = keras.Input((8, 8, 1), name="image")
    x = inputs
    for width in (filters, 2 * filters):
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(2 * filters, 3, padding="same", activation="relu")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, name="logits")(x), name="cnn")


def transformer(width: int = 48, blocks: int = 2) -> keras.Model:
    """A Transformer encoder that reads an 8 x 8 image as 8 tokens, one a row.

    >>> transformer().output_shape
    (None, 10)
    """
    inputs = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Reshape((8, 8))(inputs)  # (B, rows, pixels)
    x = keras.layers.Dense(width)(x)
    x = SinusoidalPositionEncoding()(x)
    for _ in range(blocks):
        x = TransformerEncoderBlock(num_heads=4, intermediate_dim=2 * width, dropout=0.1)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, name="logits")(x), name="transformer")


def recurrent(units: int = 64) -> keras.Model:
    """A layer-normalized LSTM that reads an 8 x 8 image row by row.

    >>> recurrent().output_shape
    (None, 10)
    """
    inputs = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Reshape((8, 8))(inputs)  # (B, rows, pixels)
    x = keras.layers.RNN(LayerNormLSTMCell(units))(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, name="logits")(x), name="recurrent")
