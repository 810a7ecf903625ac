import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import WeightNormalization

pytestmark = pytest.mark.backend
KINDS = {
    "dense": (lambda: keras.layers.Dense(3), (2, 4), -1),
    "conv1d": (lambda: keras.layers.Conv1D(3, 2), (2, 5, 4), -1),
    "conv2d": (lambda: keras.layers.Conv2D(3, 2), (2, 5, 4, 2), -1),
    "conv3d": (lambda: keras.layers.Conv3D(3, 2), (2, 3, 4, 3, 2), -1),
    "transposed": (lambda: keras.layers.Conv2DTranspose(3, 2), (2, 3, 4, 2), -2),
    "depthwise": (lambda: keras.layers.DepthwiseConv2D(2, depth_multiplier=3), (2, 3, 4, 2), (-2, -1)),
    "einsum": (lambda: keras.layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d"), (2, 3, 4), -1),
    "einsum heads": (lambda: keras.layers.EinsumDense("...d,hdk->...hk", (2, 3)), (2, 3, 4), (0, 2)),
}


def values(tensor):
    return ops.convert_to_numpy(tensor)


def wrapped(kind, rng):
    """A wrapped layer with random weights, an input, and the axes that a filter's norm is taken over."""
    make, shape, filter_axes = KINDS[kind]
    layer = WeightNormalization(make())
    layer.build(shape)
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.weights])
    rank = len(layer.layer.kernel.shape)
    kept = {axis % rank for axis in (filter_axes if isinstance(filter_axes, tuple) else (filter_axes,))}
    x = rng.standard_normal(shape).astype("float32")
    return layer, x, tuple(axis for axis in range(rank) if axis not in kept)


@pytest.mark.parametrize("kind", KINDS)
def test_every_filter_has_the_length_of_its_gain(kind, rng):
    layer, _, summed = wrapped(kind, rng)
    norms = np.sqrt((values(layer.kernel).astype("float64") ** 2).sum(axis=summed)).ravel()
    np.testing.assert_allclose(norms, np.abs(values(layer.gain)), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_it_computes_as_the_plain_layer_with_the_normalized_kernel(kind, rng):
    layer, x, summed = wrapped(kind, rng)
    plain = layer.fold()
    direction = values(layer.layer.kernel).astype("float64")
    unit = direction / np.sqrt((direction**2).sum(axis=summed, keepdims=True))
    length = np.sqrt((unit**2).sum(axis=summed, keepdims=True)) * 0 + values(layer.gain).reshape(
        [1 if axis in summed else size for axis, size in enumerate(direction.shape)]
    )
    np.testing.assert_allclose(values(plain.kernel), unit * length, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(values(layer(x)), values(plain(x)), rtol=1e-5, atol=1e-5)
    assert type(plain) is type(layer.layer)
    assert plain.name == layer.layer.name


@pytest.mark.parametrize("kind", KINDS)
def test_wrapping_changes_nothing_at_first_and_adds_one_number_a_filter(kind, rng):
    make, shape, _ = KINDS[kind]
    layer, x = make(), rng.standard_normal(shape).astype("float32")
    before = values(layer(x))
    count = layer.count_params()
    normalized = WeightNormalization(layer)
    np.testing.assert_allclose(values(normalized(x)), before, rtol=1e-5, atol=1e-6)
    assert normalized.count_params() == count + normalized.gain.shape[0]
    assert len(normalized.trainable_weights) == len(layer.trainable_weights) + 1


def step(layer, x, **compiled):
    """Gradients of the sum of squares, by one step of SGD at rate 1."""
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    before = [values(weight) for weight in layer.trainable_weights]
    model.compile(keras.optimizers.SGD(1.0), loss=lambda y, outputs: ops.sum(ops.square(outputs)), **compiled)
    model.fit(x, np.zeros((len(x), 1)), batch_size=len(x), verbose=0, shuffle=False)
    return [old - values(weight) for old, weight in zip(before, layer.trainable_weights, strict=True)]


@pytest.mark.parametrize("kind", ["dense", "transposed", "depthwise"])
def test_the_gradient_of_the_direction_is_orthogonal_to_it(kind, rng):
    layer, x, summed = wrapped(kind, rng)
    direction = values(layer.layer.kernel)
    gain, kernel, _ = step(layer, x / 8)
    assert np.abs(gain).min() > 0
    inner = (kernel * direction).sum(axis=summed)
    np.testing.assert_allclose(inner, np.zeros_like(inner), atol=1e-4 * np.abs(kernel * direction).max())


@pytest.mark.parametrize("compiled", [{"run_eagerly": True}, {"jit_compile": False}, {"jit_compile": True}])
def test_gradients_do_not_depend_on_compilation(compiled, rng):
    if compiled.get("jit_compile") and keras.backend.backend() == "torch":
        pytest.skip("Keras compiles with XLA on TensorFlow and JAX only")
    layer, x, _ = wrapped("dense", rng)
    weights = layer.get_weights()
    got = step(layer, x / 8, **compiled)
    gain, direction, bias = weights
    norm = np.linalg.norm(direction, axis=0)
    outputs = x / 8 @ (gain * direction / norm) + bias
    slope = (x / 8).T @ (2 * outputs)  # of the normalized kernel
    of_gain = (slope * direction).sum(0) / norm  # equation 3 of the paper
    of_direction = gain / norm * slope - gain * of_gain / norm**2 * direction
    for one, wanted in zip(got, (of_gain, of_direction, 2 * outputs.sum(0)), strict=True):
        np.testing.assert_allclose(one, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["dense", "conv2d", "transposed"])
def test_outputs_and_gradients_equal_those_of_torch(kind, rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    weight_norm = torch.nn.utils.parametrizations.weight_norm
    layer, x, _ = wrapped(kind, rng)
    gain, direction, bias = layer.get_weights()
    modules = {
        "dense": (torch.nn.Linear(4, 3), 0, (1, 0)),
        "conv2d": (torch.nn.Conv2d(2, 3, 2), 0, (3, 2, 0, 1)),
        "transposed": (torch.nn.ConvTranspose2d(2, 3, 2), 1, (3, 2, 0, 1)),
    }
    module, dim, order = modules[kind]
    module = weight_norm(module, dim=dim)
    parts = module.parametrizations.weight
    with torch.no_grad():
        parts.original1.copy_(torch.tensor(direction.transpose(order)))
        parts.original0.copy_(torch.tensor(gain).reshape(parts.original0.shape))
        module.bias.copy_(torch.tensor(bias))
    outputs = module(torch.tensor(x if kind == "dense" else x.transpose(0, 3, 1, 2)) / 8)
    wanted = outputs.detach().numpy()
    got = values(layer(x / 8))
    np.testing.assert_allclose(got if kind == "dense" else got.transpose(0, 3, 1, 2), wanted, rtol=1e-4, atol=1e-5)
    outputs.square().sum().backward()
    of_gain, of_direction, of_bias = step(layer, x / 8)
    np.testing.assert_allclose(of_gain, parts.original0.grad.numpy().ravel(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(of_direction.transpose(order), parts.original1.grad.numpy(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(of_bias, module.bias.grad.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["dense", "transposed", "depthwise", "einsum"])
def test_initialize_gives_every_filter_mean_zero_and_variance_one(kind, rng):
    make, shape, _ = KINDS[kind]
    plain = make()
    if hasattr(plain, "activation"):
        plain.activation = keras.activations.relu
    layer = WeightNormalization(plain)
    x = rng.standard_normal((16, *shape[1:])).astype("float32") * 3 + 1
    outputs = values(layer.initialize(x))
    np.testing.assert_array_equal(outputs, values(layer(x)))
    folded = layer.fold()
    folded.activation = keras.activations.linear
    before = values(folded(x)).reshape(-1, layer.gain.shape[0])
    np.testing.assert_allclose(before.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(before.std(0), 1, rtol=1e-4)


def test_initialize_without_a_bias_sets_the_variance_only(rng):
    layer = WeightNormalization(keras.layers.Conv2D(3, 2, use_bias=False, data_format="channels_last"))
    outputs = values(layer.initialize(rng.standard_normal((8, 4, 5, 2)).astype("float32") + 1))
    np.testing.assert_allclose(outputs.reshape(-1, 3).std(0), 1, rtol=1e-4)


def test_initialize_keeps_the_gain_of_a_filter_that_never_varies():
    layer = WeightNormalization(keras.layers.Dense(2, kernel_initializer="ones"))
    outputs = values(layer.initialize(np.ones((4, 3), "float32")))
    np.testing.assert_allclose(values(layer.gain), [3**0.5] * 2, rtol=1e-6)
    np.testing.assert_allclose(outputs, 0, atol=1e-6)


def test_initialize_refuses_scattered_filters():
    layer = WeightNormalization(keras.layers.EinsumDense("abc,cd->dab", (2, 3)))
    with pytest.raises(ValueError, match="equation must have its filters as the last axes of the output"):
        layer.initialize(np.ones((2, 3, 4), "float32"))


def test_a_kernel_regularizer_acts_on_the_normalized_kernel(rng):
    layer = WeightNormalization(keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.5)))
    layer.build((None, 4))
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.weights])
    layer(np.ones((1, 4), "float32"))
    loss = float(values(sum(layer.losses)))
    np.testing.assert_allclose(loss, 0.5 * (values(layer.gain) ** 2).sum(), rtol=1e-5)  # ||w[f]|| = gain[f]
    assert layer.fold().kernel_regularizer is not None


def test_the_norm_is_taken_in_float32_under_mixed_precision():
    layer = WeightNormalization(keras.layers.Dense(1, dtype="mixed_float16"))
    layer.build((None, 4))
    layer.layer.kernel.assign(np.full((4, 1), 300.0))  # 4 * 300**2 is beyond float16
    layer.gain.assign([2.0])
    got = layer(np.ones((1, 4), "float32"))
    assert keras.backend.standardize_dtype(got.dtype) == "float16"
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.cast(got, "float32")), [[4.0]])


def test_a_model_folds_by_cloning(rng):
    layers = [keras.Input((4,)), WeightNormalization(keras.layers.Dense(3)), WeightNormalization(keras.layers.Dense(2))]
    model = keras.Sequential(layers)
    x = rng.standard_normal((2, 4)).astype("float32")
    folded = keras.models.clone_model(model, clone_function=lambda layer: layer.fold())
    np.testing.assert_allclose(values(folded(x)), values(model(x)), rtol=1e-5, atol=1e-6)


def test_a_quantized_kernel_is_refused():
    layer = WeightNormalization(keras.layers.Dense(3))
    layer.build((None, 4))
    layer.layer.quantize("int8")
    with pytest.raises(ValueError, match="layer must have a float kernel"):
        layer(np.ones((1, 4), "float32"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WeightNormalization("dense"), "layer must be a Keras layer"),
        (lambda: WeightNormalization(keras.layers.SeparableConv2D(3, 2)), "layer must be of a kind whose filters"),
        (lambda: WeightNormalization(keras.layers.Dense(3, kernel_constraint="unit_norm")), "no kernel constraint"),
        (lambda: WeightNormalization(keras.layers.Dense(3), dtype="mixed_float16"), "dtype must be the layer's"),
        (lambda: WeightNormalization(keras.layers.Dense(3), axis=2).build((None, 4)), "must name axes of a kernel"),
        (
            lambda: WeightNormalization(keras.layers.Embedding(3, 2), axis=-1).build((None, 4)),
            'one weight named "kernel"',
        ),
        (lambda: WeightNormalization(keras.layers.Dense(3)).fold(), "layer must be built"),
    ],
)
def test_bad_arguments_say_what_to_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()
