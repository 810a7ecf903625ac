"""One small model of each kind that a user may bring: all with nonzero biases, smooth where completeness is tested."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

L = keras.layers


@dataclass(frozen=True)
class Case:
    """A model with samples for it.

    Attributes:
        model: built or not.
        x: three samples.
        target: for models that need one.
        features: layer with positions and channels, reached by its path; None where there is none.
        embedding: layer whose output can stand for the input of token ids.
    """

    model: keras.Model
    x: Any
    target: Any = None
    features: str | None = "features"
    embedding: str | None = None


class Dense(L.Dense):
    """A dense layer whose bias is not zero."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(units, bias_initializer=keras.initializers.RandomNormal(stddev=0.3), **options)


def conv(**options: Any) -> L.Conv2D:
    bias = keras.initializers.RandomNormal(stddev=0.3)
    return L.Conv2D(4, 3, activation="tanh", bias_initializer=bias, name="features", **options)


def images() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(3, 6, 6, 2)).astype("float32")


def functional() -> Case:
    inputs = keras.Input((6, 6, 2))
    return Case(keras.Model(inputs, L.Softmax()(Dense(3)(L.GlobalAveragePooling2D()(conv()(inputs))))), images())


def sequential() -> Case:
    return Case(keras.Sequential([keras.Input((6, 6, 2)), conv(), L.Flatten(), Dense(3)]), images())


def sequential_without_input() -> Case:
    return Case(keras.Sequential([conv(), L.GlobalAveragePooling2D(), Dense(3)]), images())


def nested() -> Case:
    backbone = keras.Sequential([keras.Input((6, 6, 2)), L.Rescaling(0.5), conv()], name="backbone")
    inputs = keras.Input((6, 6, 2))
    model = keras.Model(inputs, Dense(3)(L.GlobalAveragePooling2D()(backbone(inputs))))
    return Case(model, images(), features="backbone/features")


class Subclassed(keras.Model):
    """Layers as attributes, a call of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.features = conv()
        self.normalize = L.BatchNormalization(beta_initializer="ones")
        self.head = Dense(3)

    def call(self, inputs: Any, training: bool = False) -> Any:
        maps = self.normalize(self.features(inputs), training=training)
        return self.head(keras.ops.mean(maps, axis=(1, 2)))


def subclassed() -> Case:
    return Case(Subclassed(), images(), features="features")


def multi_input() -> Case:
    picture, table = keras.Input((6, 6, 2)), keras.Input((4,))
    joined = L.Concatenate()([L.GlobalAveragePooling2D()(conv()(picture)), Dense(3, activation="tanh")(table)])
    x = [images(), np.random.default_rng(6).normal(size=(3, 4)).astype("float32")]
    return Case(keras.Model([picture, table], Dense(3)(joined)), x)


def multi_output() -> Case:
    inputs = keras.Input((6, 6, 2))
    pooled = L.GlobalAveragePooling2D()(conv()(inputs))
    model = keras.Model(inputs, {"cls": Dense(3, name="cls")(pooled), "value": Dense(1, name="value")(pooled)})
    return Case(model, images(), target={"cls": [0, 1, 2], "value": None})


def tokens() -> Case:
    inputs = keras.Input((5,), dtype="int32")
    model = keras.Model(inputs, Dense(3)(L.LSTM(4)(L.Embedding(9, 3, name="embedding")(inputs))))
    x = np.random.default_rng(7).integers(0, 9, (3, 5)).astype("int32")
    return Case(model, x, features="embedding", embedding="embedding")


def sequence() -> Case:
    inputs = keras.Input((5, 2))
    hidden = L.LSTM(4, return_sequences=True, name="features")(inputs)
    return Case(keras.Model(inputs, Dense(3)(L.GlobalAveragePooling1D()(hidden))), images()[:, 0, :5])


def attention() -> Case:
    inputs = keras.Input((5, 2))
    hidden = Dense(4)(inputs)
    hidden = hidden + L.MultiHeadAttention(2, 4)(hidden, hidden)
    hidden = L.LayerNormalization(name="features", beta_initializer="ones")(hidden)
    return Case(keras.Model(inputs, Dense(3)(L.GlobalAveragePooling1D()(hidden))), images()[:, 0, :5])


def regression() -> Case:
    inputs = keras.Input((6, 6, 2))
    return Case(keras.Model(inputs, Dense(1)(L.GlobalAveragePooling2D()(conv()(inputs)))), images())


def vectors() -> Case:
    model = keras.Sequential([keras.Input((4,)), Dense(5, activation="tanh"), Dense(3)])
    return Case(model, np.random.default_rng(8).normal(size=(3, 4)).astype("float32"), features=None)


def segmentation() -> Case:
    inputs = keras.Input((6, 6, 2))
    return Case(keras.Model(inputs, L.Conv2D(3, 1, name="head")(conv(padding="same")(inputs))), images(), (2, 3, 1))


def mixed_float16() -> Case:
    inputs = keras.Input((6, 6, 2))
    pooled = L.GlobalAveragePooling2D(dtype="mixed_float16")(conv(dtype="mixed_float16")(inputs))
    return Case(keras.Model(inputs, Dense(3, dtype="mixed_float16")(pooled)), images())


ZOO: dict[str, Callable[[], Case]] = {
    make.__name__: make
    for make in (
        functional,
        sequential,
        sequential_without_input,
        nested,
        subclassed,
        multi_input,
        multi_output,
        tokens,
        sequence,
        attention,
        regression,
        vectors,
        segmentation,
        mixed_float16,
    )
}
