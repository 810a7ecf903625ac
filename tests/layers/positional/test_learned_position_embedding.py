import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import LearnedPositionEmbedding
from keras_arch.ops.interpolation import resize_table

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def built(max_length=6, size=4, **arguments):
    layer = LearnedPositionEmbedding(max_length, **arguments)
    layer.build((None, *(None,) * len(layer.table_sizes), size))
    return layer


def test_rows_of_the_table_are_added(rng):
    layer, x = built(), rng.standard_normal((2, 5, 4)).astype("float32")
    table = values(layer.embeddings)
    np.testing.assert_allclose(values(layer(x)), x + table[:5], atol=1e-7)
    np.testing.assert_allclose(values(layer(x[:, :2], start_index=3)), x[:, :2] + table[3:5], atol=1e-7)
    positions = np.array([[0, 0, 0, 1, 2], [5, 4, 3, 2, 1]])
    np.testing.assert_allclose(values(layer(x, positions=positions)), x + table[positions], atol=1e-7)


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_a_longer_input_gets_the_table_stretched(method):
    layer = built(interpolation=method)
    got = values(layer(np.zeros((1, 10, 4))))[0]
    np.testing.assert_allclose(got, resize_table(values(layer.embeddings), (10,), method), atol=3e-7)
    by_position = layer(np.zeros((1, 10, 4)), positions=np.arange(10))
    np.testing.assert_allclose(values(by_position)[0], got, atol=1e-7)


@pytest.mark.parametrize("length", [5, 10])
def test_steps_of_a_cached_decoding_equal_the_whole_pass(rng, length):
    layer, x = built(), rng.standard_normal((2, length, 4)).astype("float32")
    for known in (length, ops.convert_to_tensor(length)):
        steps = [layer(x[:, t : t + 1], start_index=ops.convert_to_tensor(t), length=known) for t in range(length)]
        np.testing.assert_allclose(values(ops.concatenate(steps, axis=1)), values(layer(x)), atol=3e-7)
    first = layer(x[:, :2], length=length)  # a first chunk lies in the whole, not in itself
    np.testing.assert_allclose(values(first), values(layer(x))[:, :2], atol=3e-7)


@pytest.mark.parametrize("interpolation", ["linear", None])
def test_unknown_length_in_a_functional_model(interpolation):
    inputs, layer = keras.Input((None, 4)), built(interpolation=interpolation)
    model = keras.Model(inputs, layer(inputs))
    for length in (3, 6, 9) if interpolation else (3, 6):
        got = model.predict(np.zeros((1, length, 4), "float32"), verbose=0)
        wanted = values(layer(np.zeros((1, length, 4), "float32")))
        np.testing.assert_allclose(got, wanted, atol=1e-7)


def test_a_grid_is_added_and_resized_like_an_image(rng):
    layer = built((3, 4), size=2)
    x, table = rng.standard_normal((2, 3, 4, 2)).astype("float32"), values(layer.embeddings)
    np.testing.assert_allclose(values(layer(x)), x + table, atol=1e-7)
    other = values(layer(np.zeros((1, 5, 3, 2))))[0]
    np.testing.assert_allclose(other, resize_table(table, (5, 3)), atol=1e-7)


def test_a_resized_layer_adds_what_the_stretched_table_adds():
    layer = built(interpolation="cubic", embeddings_initializer="glorot_uniform")
    longer, x = layer.resized(9), np.zeros((1, 9, 4))
    assert longer.get_config() == {**layer.get_config(), "max_length": 9}
    assert tuple(longer.embeddings.shape) == (9, 4)
    np.testing.assert_allclose(values(longer(x)), values(layer(x)), atol=1e-6)
    grid = built((2, 3)).resized((4, 4))
    assert tuple(grid.embeddings.shape) == (4, 4, 4)


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # Keras, beside the error of a layer
def test_weights_saved_at_one_length_load_at_another(tmp_path):
    def model(max_length, interpolation="linear"):
        inputs = keras.Input((None, 4))
        x = LearnedPositionEmbedding(max_length, interpolation, name="positions")(inputs)
        return keras.Model(inputs, keras.layers.Dense(2, name="head")(x))

    short, long = model(6), model(12)
    short.save_weights(tmp_path / "short.weights.h5")
    long.load_weights(tmp_path / "short.weights.h5")
    table = values(short.get_layer("positions").embeddings)
    np.testing.assert_allclose(values(long.get_layer("positions").embeddings), resize_table(table, (12,)), atol=1e-7)
    x = np.ones((1, 12, 4), "float32")
    np.testing.assert_allclose(values(long(x)), values(short(x)), atol=1e-6)
    model(6, None).load_weights(tmp_path / "short.weights.h5")
    with pytest.raises(ValueError, match=r"(?s)max_length must fit .*max_length=12.*received max_length=\(6,\)"):
        model(12, None).load_weights(tmp_path / "short.weights.h5")


def test_a_model_cloned_with_resized_layers_goes_on_training():
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, keras.layers.Dense(1)(LearnedPositionEmbedding(3)(inputs)))

    def longer(layer):
        return layer.resized(5) if isinstance(layer, LearnedPositionEmbedding) else layer

    clone = keras.models.clone_model(model, clone_function=longer)
    x = np.ones((2, 5, 4), "float32")
    np.testing.assert_allclose(values(clone(x)), values(model(x)), atol=1e-6)
    clone.compile("sgd", "mse")
    before = values(clone.layers[1].embeddings)
    clone.fit(x, np.ones((2, 5, 1)), verbose=0)
    assert (values(clone.layers[1].embeddings) != before).any(axis=1).all()


def test_low_precision_is_the_rounded_sum(rng):
    layer = built(dtype="mixed_bfloat16")
    x = rng.standard_normal((1, 9, 4)).astype("float32")
    got, rounded = layer(x), values(ops.cast(x, "bfloat16"))
    assert keras.backend.standardize_dtype(got.dtype) == "bfloat16"
    table = resize_table(values(ops.cast(layer.embeddings, "bfloat16")), (9,))
    np.testing.assert_array_equal(values(got), values(ops.cast(ops.convert_to_tensor(rounded + table), "bfloat16")))


@pytest.mark.parametrize(
    ("arguments", "shape", "call", "message"),
    [
        ({"max_length": 0}, (1, 2, 4), {}, "max_length must be an integer >= 1"),
        ({"max_length": (2, 3, 4)}, (1, 2, 4), {}, r"max_length must be a pair \(rows, columns\)"),
        (
            {"max_length": 4, "interpolation": "nearest"},
            (1, 2, 4),
            {},
            "interpolation must be one of 'cubic', 'linear'",
        ),
        ({"max_length": 4}, (1, 2, 2, 4), {}, "inputs must have rank 3 for max_length=4"),
        ({"max_length": (2, 2)}, (1, 4, 4), {}, r"inputs must have rank 4 for max_length=\(2, 2\)"),
        ({"max_length": 4, "interpolation": None}, (1, 5, 4), {}, "length must fit the table of max_length=4.*Choose"),
        ({"max_length": 4, "interpolation": None}, (1, 2, 4), {"start_index": 3}, "received length=5"),
        ({"max_length": (2, 2), "interpolation": None}, (1, 2, 3, 4), {}, r"grid must fit .* received grid=\(2, 3\)"),
        ({"max_length": (2, 2)}, (1, 2, 2, 4), {"start_index": 1}, "are for sequences"),
        ({"max_length": 4}, (1, 2, 4), {"start_index": 1, "positions": np.arange(2)}, "exclude each other"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, shape, call, message):
    with pytest.raises(ValueError, match=message):
        LearnedPositionEmbedding(**arguments)(np.zeros(shape, "float32"), **call)


def test_what_cannot_be_resized_says_what_to_do():
    with pytest.raises(ValueError, match="Build the layer first"):
        LearnedPositionEmbedding(3).resized(5)
    with pytest.raises(ValueError, match="own kind"):
        built(3).resized((5, 5))
    with pytest.raises(ValueError, match="must fit the table"):
        built(3, interpolation=None).resized(5)
