"""The wrapper against a layer given rounded weights by hand, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.compression.quantization.layer import Placement, QuantizedLayer
from keras_arch.compression.quantization.observers import MinMax
from keras_arch.compression.quantization.scheme import PerChannel, PerGroup, Scheme

pytestmark = pytest.mark.backend
L = keras.layers


def rounded_by_hand(layer, scheme, axes):
    """A copy of a built layer whose kernels are the rounded ones."""
    copy = type(layer).from_config(layer.get_config())
    copy.build(layer.input_shape_for_test)
    for new, old in zip(copy.weights, layer.weights, strict=True):
        new.assign(scheme.quantize_kernel(old.value, axes) if len(old.shape) > 1 else old)
    return copy


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (L.Dense(4, activation="relu"), (None, 3), ()),
        (L.Conv2D(4, 3), (None, 5, 5, 2), (3,)),
        (L.DepthwiseConv2D(3, depth_multiplier=2), (None, 5, 5, 3), (2, 3)),
    ],
)
def test_outputs_equal_those_of_a_layer_with_rounded_kernels(layer, shape, axes, rng):
    wrapper = QuantizedLayer(layer, 4, 8, Placement(outputs=()), phase="frozen")
    wrapper.build(shape)
    layer.input_shape_for_test = shape
    x = rng.normal(size=(2, *shape[1:])).astype("float32")
    assert wrapper.kernel_axes == [axes]
    expected = rounded_by_hand(layer, wrapper.weights_scheme, axes)(x)
    np.testing.assert_allclose(ops.convert_to_numpy(wrapper(x)), ops.convert_to_numpy(expected), atol=1e-6)


def test_inputs_and_outputs_are_rounded_on_the_observed_grid(rng):
    wrapper = QuantizedLayer(L.Identity(), 8, 2, Placement(inputs=(0,), outputs=(0,)))
    x = np.float32([[-1.0, 0.1, 0.4, 2.0]])
    wrapper(x, training=True)
    wrapper.quantization_phase = "frozen"
    got = ops.convert_to_numpy(wrapper(x))
    np.testing.assert_allclose(got, [[-1.0, 0.0, 0.0, 2.0]], atol=1e-6)


@pytest.mark.parametrize(
    ("phase", "training", "records"),
    [
        ("observe", True, True),
        ("observe", False, False),
        ("calibrate", False, True),
        ("quantize", True, True),
        ("quantize", False, False),
        ("frozen", True, False),
    ],
)
def test_ranges_move_only_where_the_phase_says_so(phase, training, records):
    wrapper = QuantizedLayer(L.Dense(2), phase=phase)
    wrapper.build((None, 3))
    wrapper(np.ones((4, 3), "float32"), training=training)
    assert int(ops.convert_to_numpy(wrapper.batches)) == int(records)


@pytest.mark.parametrize(("phase", "moves"), [("observe", True), ("quantize", True), ("frozen", False)])
def test_batch_norm_statistics_stay_once_frozen(phase, moves, rng):
    norm = L.BatchNormalization()
    wrapper = QuantizedLayer(norm, placement=Placement(outputs=()), phase=phase)
    wrapper.build((None, 3))
    wrapper(rng.normal(5, 1, (8, 3)).astype("float32"), training=True)
    assert bool(ops.any(norm.moving_mean != 0)) is moves
    assert norm.trainable


def test_dropout_inside_a_layer_draws_anew_each_call():
    @keras.saving.register_keras_serializable("test_layer")
    class Dropping(L.Dense):
        def __init__(self, units, **kwargs):
            super().__init__(units, **kwargs)
            self.seed_generator = keras.random.SeedGenerator(0)

        def call(self, inputs, training=None):
            return keras.random.dropout(super().call(inputs), 0.5, seed=self.seed_generator)

    wrapper = QuantizedLayer(Dropping(50), placement=Placement(outputs=()), phase="quantize")
    x = np.ones((1, 3), "float32")
    first, second = (ops.convert_to_numpy(wrapper(x, training=True)) for _ in range(2))
    assert ((first == 0) != (second == 0)).any()


class Penalised(L.Dense):
    def call(self, inputs):
        self.add_loss(ops.mean(inputs) * 3.0)
        return super().call(inputs)


@pytest.mark.parametrize("phase", ["observe", "quantize"])
def test_every_loss_of_the_inner_layer_counts_once(phase):
    layer = Penalised(2, kernel_regularizer="l2", activity_regularizer="l1", kernel_initializer="ones", use_bias=False)
    wrapper = QuantizedLayer(layer, placement=Placement(outputs=()), phase=phase)
    wrapper(np.full((4, 3), 0.5, "float32"), training=True)
    expected = sorted([3 * 0.5, 0.01 * 6, 0.01 * 3.0])  # add_loss, l2 of 6 ones, l1 of (4, 2) outputs 1.5 a sample
    np.testing.assert_allclose(
        sorted(float(ops.convert_to_numpy(loss)) for loss in wrapper.losses), expected, rtol=1e-4
    )


class Plain(MinMax):
    """The same ranges, without the word that they cover everything: the general gradient."""

    covers = False


def test_the_cheap_gradient_of_kernels_equals_the_general_one(rng):
    x, y = rng.normal(size=(16, 5, 5, 2)).astype("float32"), rng.normal(size=(16, 3, 3, 4)).astype("float32")
    kernels = []
    for observer in (MinMax(), Plain()):
        keras.utils.set_random_seed(0)
        scheme = Scheme(4, granularity=PerChannel(), narrow=True, observer=observer)
        wrapper = QuantizedLayer(L.Conv2D(4, 3), scheme, 8, Placement(outputs=()), phase="quantize")
        model = keras.Sequential([keras.Input((5, 5, 2)), wrapper])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(x, y, verbose=0)
        kernels.append(ops.convert_to_numpy(wrapper.layer.kernel))
    np.testing.assert_allclose(*kernels, atol=1e-6)


def test_mixed_precision_rounds_in_float32(rng):
    layer = L.Dense(4, dtype="mixed_bfloat16")
    wrapper = QuantizedLayer(layer, 8, 8, Placement(outputs=()), phase="frozen")
    x = rng.normal(size=(2, 3)).astype("float32")
    wrapper.build((None, 3))
    got = wrapper(x)
    assert keras.backend.standardize_dtype(got.dtype) == "bfloat16"
    kernel = wrapper.weights_scheme.quantize_kernel(layer.kernel.value)
    expected = ops.matmul(ops.cast(x, "bfloat16"), ops.cast(kernel, "bfloat16"))
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(got, "float32")), ops.convert_to_numpy(ops.cast(expected, "float32")), rtol=1e-2
    )


@pytest.mark.parametrize("observer", ["min_max", "percentile"])
def test_a_fit_trains_kernels_in_groups(observer, rng):
    scheme = Scheme(3, narrow=True, granularity=PerGroup(2), observer=observer)
    wrapper = QuantizedLayer(L.Conv2D(4, 3, name="c"), scheme, 8, Placement(outputs=()), phase="quantize")
    model = keras.Sequential([keras.Input((5, 5, 6)), wrapper])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x, before = rng.normal(size=(8, 5, 5, 6)), ops.convert_to_numpy(wrapper.layer.kernel).copy()
    model.fit(x, np.zeros((8, 3, 3, 4)), verbose=0)
    kernel = wrapper.layer.kernel
    assert (ops.convert_to_numpy(kernel) != before).mean() > 0.9
    expected = ops.conv(ops.cast(x, "float32"), scheme.quantize_kernel(kernel.value), padding="valid")
    got = ops.convert_to_numpy(model(x)) - ops.convert_to_numpy(wrapper.layer.bias)
    np.testing.assert_allclose(got, ops.convert_to_numpy(expected), atol=1e-4)


def test_settings_return_from_the_config():
    wrapper = QuantizedLayer(
        L.Dense(3), 4, Scheme(8, narrow=True), Placement((0,), (0,), True, (0.0, 0.5)), "gelu", "frozen", name="w"
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(wrapper))
    assert again.get_config() == wrapper.get_config()
    assert (again.placement, again.weights_scheme, again.activations_scheme) == (
        wrapper.placement,
        wrapper.weights_scheme,
        wrapper.activations_scheme,
    )
    assert (again.name, again.quantization_phase, again.activation) == ("w", "frozen", keras.activations.gelu)


def test_an_unknown_phase_is_refused():
    with pytest.raises(ValueError, match="phase must be one of 'calibrate', 'frozen', 'observe', 'quantize'"):
        QuantizedLayer(L.Dense(1), phase="train")
