import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.compression.scope import select
from keras_arch.core.walk import walk
from keras_arch.layers import ResidualBlock, SqueezeExcite

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def with_random_weights(block, shape, rng):
    """Build a block; its weights are drawn, positive where they may be variances."""
    block.build(shape)
    block.set_weights(
        [
            rng.uniform(0.5, 1.5, w.shape) * rng.choice([1, -1] if w.ndim == 4 else [1], w.shape) if w.ndim else w
            for w in block.get_weights()
        ]
    )
    return block


def torch_convolution(torch, x, conv, strides=1):
    kernel = torch.tensor(values(conv.kernel).transpose(3, 2, 0, 1))
    return torch.nn.functional.conv2d(x, kernel, stride=strides, padding=kernel.shape[-1] // 2, groups=conv.groups)


def torch_norm(torch, x, norm):
    parts = (norm.moving_mean, norm.moving_variance, norm.gamma, norm.beta)
    return torch.nn.functional.batch_norm(x, *(torch.tensor(values(part)) for part in parts), eps=norm.epsilon)


@pytest.mark.oracle
@pytest.mark.parametrize(("filters", "strides"), [(6, 2), (4, 1)])
def test_equals_a_basic_block_of_torch_modules(filters, strides, rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    nn = torch.nn
    x = rng.standard_normal((2, 6, 8, 4)).astype("float32")
    epsilon = keras.layers.BatchNormalization(epsilon=1e-5)
    block = ResidualBlock(filters, strides=strides, padding="symmetric", normalization=epsilon)
    with_random_weights(block, x.shape, rng)

    def convolution(layer, size, stride):
        module = nn.Conv2d(layer.kernel.shape[2], filters, size, stride, padding=size // 2, bias=False)
        module.weight.data = torch.tensor(values(layer.kernel).transpose(3, 2, 0, 1))
        return module

    def normalization(layer):
        module = nn.BatchNorm2d(filters)
        module.weight.data, module.bias.data = torch.tensor(values(layer.gamma)), torch.tensor(values(layer.beta))
        module.running_mean.data = torch.tensor(values(layer.moving_mean))
        module.running_var.data = torch.tensor(values(layer.moving_variance))
        return module

    branch = nn.Sequential(
        convolution(block.conv1, 3, strides),
        normalization(block.norm1),
        nn.ReLU(),
        convolution(block.conv2, 3, 1),
        normalization(block.norm2),
    )
    shortcut = nn.Identity()
    if strides > 1:
        shortcut = nn.Sequential(convolution(block.shortcut_conv, 1, strides), normalization(block.shortcut_norm))
    images = torch.tensor(x.transpose(0, 3, 1, 2))
    for training in (True, False):  # in this order: training moves the statistics of both, by rules of their own
        branch.train(training), shortcut.train(training)
        if not training:
            for keras_norm, module in zip([block.norm1, block.norm2], [branch[1], branch[4]], strict=True):
                module.running_mean.data = torch.tensor(values(keras_norm.moving_mean))
                module.running_var.data = torch.tensor(values(keras_norm.moving_variance))
            if strides > 1:
                shortcut[1].running_mean.data = torch.tensor(values(block.shortcut_norm.moving_mean))
                shortcut[1].running_var.data = torch.tensor(values(block.shortcut_norm.moving_variance))
        with torch.no_grad():
            wanted = torch.relu(branch(images) + shortcut(images)).numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(values(block(x, training=training)), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.oracle
@pytest.mark.parametrize(("filters", "strides"), [(6, 2), (4, 1)])
def test_pre_activation_equals_torch(filters, strides, rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    x = rng.standard_normal((2, 6, 8, 4)).astype("float32")
    block = ResidualBlock(filters, strides=strides, padding="symmetric", norm_placement="pre")
    with_random_weights(block, x.shape, rng)
    images = torch.tensor(x.transpose(0, 3, 1, 2))
    entered = torch.relu(torch_norm(torch, images, block.norm1))
    branch = torch_convolution(torch, entered, block.conv1, strides)
    branch = torch_convolution(torch, torch.relu(torch_norm(torch, branch, block.norm2)), block.conv2)
    shortcut = images if strides == 1 else torch_convolution(torch, entered, block.shortcut_conv, strides)
    wanted = (shortcut + branch).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(values(block(x)), wanted, rtol=1e-3, atol=1e-3)
    assert not hasattr(block, "shortcut_norm")


def test_average_pool_shortcut_is_the_mean_before_a_convolution(rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype("float32")
    block = ResidualBlock(4, strides=2, normalization=None, activation=None, shortcut="average_pool")
    block.build(x.shape)
    block.conv2.set_weights([np.zeros((3, 3, 4, 4))])
    kernel = values(block.shortcut_conv.kernel)[0, 0]
    wanted = np.zeros((2, 3, 3, 4))
    for row in range(3):
        for column in range(3):
            wanted[:, row, column] = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean((1, 2)) @ kernel
    np.testing.assert_allclose(values(block(x)), wanted, rtol=1e-4, atol=1e-5)


def test_a_zero_gamma_makes_the_branch_start_as_nothing(rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    np.testing.assert_array_equal(values(ResidualBlock(3, zero_init_residual=True)(x)), np.maximum(x, 0))


def test_stochastic_depth_drops_whole_branches_in_training_only(rng):
    x = np.abs(rng.standard_normal((16, 2, 3, 3)).astype("float32"))
    block = ResidualBlock(3, normalization=None, activation=None, stochastic_depth=0.5, seed=1)
    branch = values(block(x)) - x
    got = values(block(x, training=True)) - x
    dropped = np.array([np.allclose(one, 0, atol=1e-6) for one in got])
    assert 0 < dropped.sum() < 16
    np.testing.assert_allclose(got[~dropped], 2 * branch[~dropped], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("given", [False, True])
def test_excitation_acts_on_the_branch_before_the_sum(given, rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    excite = SqueezeExcite(width=1, gate=lambda y: 0 * y) if given else 0.4
    block = ResidualBlock(3, squeeze_excite=excite)
    block.build(x.shape)
    if not given:
        assert block.excitation.squeeze_dense.units == 1
        block.excitation.excite_dense.set_weights([np.zeros((1, 3)), np.full(3, -100.0)])
    np.testing.assert_allclose(values(block(x)), np.maximum(x, 0), atol=1e-6)


def test_normalizations_are_made_after_the_given_one(rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    block = ResidualBlock(4, normalization=keras.layers.GroupNormalization(2), data_format="channels_last")
    block(x)
    norms = [block.norm1, block.norm2, block.shortcut_norm]
    assert all(isinstance(norm, keras.layers.GroupNormalization) and norm.groups == 2 for norm in norms)
    assert len({id(norm) for norm in norms}) == 3


def test_channels_first_equals_channels_last(rng):
    x = rng.standard_normal((2, 6, 5, 4)).astype("float32")
    options = {"strides": 2, "squeeze_excite": 0.5, "padding": "symmetric", "shortcut": "average_pool"}
    last = ResidualBlock(6, **options)
    first = ResidualBlock(6, data_format="channels_first", **options)
    wanted = values(last(x))
    first.build((2, 4, 6, 5))
    first.set_weights(last.get_weights())
    got = values(first(x.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(got.transpose(0, 2, 3, 1), wanted, rtol=1e-4, atol=1e-5)
    assert first.compute_output_shape((None, 4, None, 5)) == (None, 6, None, 3)


def test_pruning_and_walks_see_ordinary_layers():
    model = keras.Sequential([keras.Input((6, 5, 4)), ResidualBlock(6, squeeze_excite=0.5, name="block")])
    targets = [target.path for target in select(model)]
    names = ["conv1", "conv2", "excitation/squeeze", "excitation/excite", "shortcut_conv"]
    assert targets == [f"block/{name}" for name in names]
    kinds = {type(layer).__name__ for _, layer in walk(model)}
    assert {"Conv2D", "BatchNormalization", "Dense"} <= kinds


def test_batch_statistics_move_in_training_only(rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    block = ResidualBlock(3)
    block(x)
    before = values(block.norm1.moving_mean)
    block(x, training=False)
    np.testing.assert_array_equal(values(block.norm1.moving_mean), before)
    block(x, training=True)
    assert (values(block.norm1.moving_mean) != before).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "filters must be an integer >= 1"),
        ({"strides": 2, "dilation_rate": 2}, "dilation_rate must be 1 where strides are above 1"),
        ({"normalization": "instance"}, "normalization must be one of"),
        ({"squeeze_excite": 16}, r"squeeze_excite must be a number in \(0, 1\]"),
        ({"stochastic_depth": 1.0}, r"stochastic_depth must be a number in \[0, 1\)"),
        ({"padding": "valid"}, "padding must be one of"),
        ({"padding": "symmetric", "kernel_size": 2}, "padding needs a kernel with a middle"),
        ({"norm_placement": "sandwich"}, "norm_placement must be one of"),
        ({"shortcut": "zeros"}, "shortcut must be one of"),
        ({"zero_init_residual": True, "norm_placement": "pre"}, "zero_init_residual needs a last normalization"),
        ({"zero_init_residual": True, "normalization": None}, "zero_init_residual needs a last normalization"),
        ({"data_format": "NHWC"}, "data_format must be one of"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResidualBlock(**{"filters": 4, **arguments})


def test_inputs_of_other_rank_and_layers_that_change_the_shape_are_refused():
    with pytest.raises(ValueError, match=r"inputs must be \(batch, height, width, channels\)"):
        ResidualBlock(4).build((2, 5, 4))
    with pytest.raises(ValueError, match="squeeze_excite must keep the shape of its input"):
        ResidualBlock(4, squeeze_excite=keras.layers.Dense(5)).build((2, 6, 5, 4))
