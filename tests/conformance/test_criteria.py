"""Every public criterion and pattern: found by the namespace, tried on every kind of weight."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.compression import prune
from keras_arch.compression.pruning import criteria, patterns
from keras_arch.core.identifiers import identifiers, snake_case

pytestmark = pytest.mark.backend
# A new criterion or pattern needs a line here: the arguments to try it with.
CRITERIA = {"Magnitude": [{}], "Random": [{"seed": 3}]}
# Criteria that look at data take samples; they are asked by `for_model`, have no string id and are not serialised.
SAMPLED = {"SNIP": [{}, {"loss": "mse", "batch_size": 2}], "Taylor": [{}, {"loss": "mse", "batch_size": 2}]}
# Criteria that read what surrounds a weight; their own tests ask them.
SURROUNDED = {"BatchNormScale", "Movement", "Relevance"}
# Patterns that look at a whole model; likewise.
WHOLE = {"Channel", "Head"}
PATTERNS = {"Unstructured": [{}], "Block": [{}, {"rows": 2, "columns": 8}], "NM": [{}, {"n": 1, "m": 2}]}
SHAPES = [(3, 3, 4, 8), (16, 8), (2, 4, 8)]
DTYPES = ["float32", "bfloat16", "float16"]


def test_every_public_name_has_a_case():
    assert sorted([*CRITERIA, *SAMPLED, *SURROUNDED]) == sorted(criteria.__all__)
    assert sorted([*PATTERNS, *WHOLE]) == sorted(patterns.__all__)


def cases(room, table):
    return [pytest.param(getattr(room, name)(**s), id=f"{name}-{s}") for name, tried in table.items() for s in tried]


@pytest.mark.parametrize("criterion", cases(criteria, CRITERIA))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_have_the_shape_of_the_weight_and_can_be_ranked(criterion, shape, dtype, rng):
    weight = keras.Variable(rng.normal(size=shape), dtype=dtype)
    scores = ops.convert_to_numpy(ops.cast(criterion(weight), "float32"))
    assert scores.shape == shape
    assert not np.isnan(scores).any()


class Product(keras.layers.Layer):
    """A layer with one weight of any shape."""

    def __init__(self, shape, dtype):
        super().__init__(dtype=dtype)
        self.kernel = self.add_weight(shape=shape, name="kernel")

    def call(self, inputs):
        return inputs * keras.ops.mean(keras.ops.sin(self.kernel))


# Each criterion with each of its settings meets every shape and every type, and each shape every type.
PAIRS = [
    pytest.param(
        name, settings, shape, DTYPES[(row + column) % 3], id=f"{name}-{settings}-{shape}-{DTYPES[(row + column) % 3]}"
    )
    for row, (name, settings) in enumerate((name, settings) for name, tried in SAMPLED.items() for settings in tried)
    for column, shape in enumerate(SHAPES)
]


@pytest.mark.parametrize(("name", "settings", "shape", "dtype"), PAIRS)
def test_scores_from_samples_have_the_shape_of_the_weight_and_can_be_ranked(name, settings, shape, dtype, rng):
    layer = Product(shape, dtype)
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile("sgd", "mse")
    criterion = getattr(criteria, name)(rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), **settings)
    scores = criterion.for_model(model, [layer.kernel])(layer.kernel)
    assert (scores.shape, scores.dtype) == (shape, np.float32)
    assert not np.isnan(scores).any()
    assert np.unique(scores).size > 8


@pytest.mark.parametrize("name", sorted(SAMPLED))
def test_criteria_with_samples_say_that_they_need_them(name):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    for identifier in (name, snake_case(name), getattr(criteria, name)):
        with pytest.raises(ValueError, match=rf"criterion must be an object .* Pass {name}\(x, y\)"):
            prune(model, 0.5, criterion=identifier)
    value = getattr(criteria, name)(np.ones((2, 8)), np.ones((2, 8)))
    assert value == getattr(criteria, name)(np.ones((2, 8)), np.ones((2, 8)))
    with pytest.raises(ValueError, match=rf"{name} can't be serialised, since it holds samples"):
        keras.saving.serialize_keras_object(value)


@pytest.mark.parametrize("pattern", cases(patterns, PATTERNS))
@pytest.mark.parametrize("shape", SHAPES)
def test_marked_units_are_whole_weights(pattern, shape, rng):
    units = pattern.units(rng.random(size=shape))
    assert not pattern.weights(np.zeros(units.shape, bool), shape).any()
    assert pattern.weights(np.ones(units.shape, bool), shape).all()
    half = rng.integers(0, 2, size=units.shape).astype(bool)
    marked = pattern.weights(half, shape)
    assert (marked.shape, marked.dtype) == (shape, np.dtype(bool))
    assert (marked ^ pattern.weights(~half, shape)).all()


@pytest.mark.parametrize("value", cases(criteria, CRITERIA) + cases(patterns, PATTERNS))
def test_values_survive_serialisation(value):
    written = keras.saving.serialize_keras_object(value)
    assert written["registered_name"] == f"keras_arch>{type(value).__name__}"
    assert keras.saving.deserialize_keras_object(written) == value


@pytest.mark.parametrize("criterion", sorted(set(map(snake_case, CRITERIA))))
@pytest.mark.parametrize("pattern", sorted(set(map(snake_case, PATTERNS))))
def test_string_ids_prune_a_model(criterion, pattern):
    assert criterion in identifiers(criteria)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    assert prune(model, 0.5, criterion=criterion, pattern=pattern).sparsity == 0.5
