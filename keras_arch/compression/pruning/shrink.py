"""Removing dead channels for real: a smaller model instead of zeros."""

from collections.abc import Mapping, Sequence

import keras

from keras_arch.compression.nesting import open_graph
from keras_arch.compression.pruning.shrinking.gating import Gating
from keras_arch.compression.pruning.shrinking.mixing import Mixing
from keras_arch.compression.pruning.shrinking.rebuild import cut, inner_kept, smaller
from keras_arch.compression.pruning.shrinking.removal import Removal
from keras_arch.compression.pruning.shrinking.trace import Trace
from keras_arch.compression.shrink_report import ShrinkReport, ShrunkLayer
from keras_arch.core.check import refuse
from keras_arch.core.inner_channels import inner_channels_of
from keras_arch.core.walk import find, walk

ChannelChoice = Mapping[str, Sequence[int]]


def shrink(model: keras.Model, channels: ChannelChoice | None = None) -> keras.Model:
    """Copy a model without its dead channels: fewer filters and units, the same outputs.

    A channel goes if

    - no layer reads it: the weights that every next layer has for it are zero, or belong to channels that go; or
    - it is constant and the next layers can do without: a filter whose kernel is zero sends out act(bias), or what
      batch normalization makes of that. A zero is dropped. Any other number is moved into the biases of the layers
      that read it, which is exact for dense layers, 1x1 and unpadded convolutions; a layer without a bias gets one.
      Beside padded borders the number is missing, so there the channel stays.

    Channels are followed through dense layers, convolutions (also transposed, depthwise and separable), batch
    normalization, elementwise activations, dropout, pooling, padding, cropping, upsampling, Flatten, Reshape that keeps
    the last axis, Concatenate, Add, Multiply and their kin, also with numbers, and into models inside the model; those
    that meet in a sum or product go together or not at all. They are followed through `SqueezeExcite` as well,
    where those go that are zero, or that neither the next layers nor the squeeze reads.

    Inside layers go dead heads of attention (of `keras.layers.MultiHeadAttention`, `keras.layers.GroupQueryAttention`
    and ours; heads that share keys and values as one), dead features of the feed-forward network of our transformer
    blocks, and dead channels between the convolutions of our convolutional blocks, from which nothing may come out: a
    constant stays there.

    Inputs, outputs, what a layer outside this list takes or gives (LayerNormalization, attention, recurrent layers, our
    blocks, grouped convolutions, models inside that are shared or have no graph, subclasses, ..) and the last channel
    of each tensor stay. `shrink_report` lists them.

    Args:
        model: a built Sequential or functional model. It is not changed.
        channels: filters or units to remove although they are read, by layer: `{"conv": [0, 3]}`. What is added to
            them, or multiplied with them, goes too. Outputs change unless the channels are dead. A filter that read
            nothing else is a constant from then on; a second `shrink` removes it.
    Returns:
        A new model of the same stock layers with the same names, inputs and outputs; not compiled, without optimizer
        state. Compile it to train on. It computes what `model` computes at inference up to rounding; in training, batch
        statistics and dropout act on what is left.
    Raises:
        ValueError: for a model without a graph, or channels that do not exist, may not go or would be the last.
    Source: Fang et al. 2023, arXiv:2301.12900, for groups of channels that depend on one another; here constants are
    followed as well, so no group is cut that computes anything.

    >>> conv = keras.layers.Conv2D(4, 3, activation="relu", name="conv")
    >>> layers = [keras.Input((8, 8, 1)), conv, keras.layers.Flatten(), keras.layers.Dense(2, name="head")]
    >>> model = keras.Sequential(layers)
    >>> kernel, bias = conv.get_weights()
    >>> kernel[..., :3], bias[:3] = 0.0, 0.5
    >>> conv.set_weights([kernel, bias])
    >>> small = ka.compression.shrink(model)
    >>> small.get_layer("conv").filters, model.count_params(), small.count_params()
    (1, 330, 84)
    >>> x = np.random.default_rng(0).standard_normal((5, 8, 8, 1)).astype("float32")
    >>> np.allclose(small.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)
    True
    """
    return smaller(model, _removal(model, channels))


def shrink_report(model: keras.Model, channels: ChannelChoice | None = None) -> ShrinkReport:
    """Say what `shrink` removes from a model and what it has to keep, without building anything.

    Args:
        model: a built Sequential or functional model.
        channels: see `shrink`.
    Raises:
        ValueError: as `shrink` does.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="body"), keras.layers.Dense(1)])
    >>> model.get_layer("body").set_weights([np.eye(4, 3), np.zeros(3)])
    >>> report = ka.compression.shrink_report(model, channels={"body": [2]})
    >>> report.parameters, report.parameters_left
    (19, 13)
    """
    removal = _removal(model, channels)
    trace = removal.trace
    rows, left = [], 0
    for name, layer in trace.graph.operations.items():
        if not isinstance(layer, keras.Layer):
            continue
        left += sum(weight.size for weight in cut(name, layer, removal)[1])
        if isinstance(trace.rules.get(name), Mixing):
            outputs = trace.outputs[name][0]
            kept = removal.kept(outputs)
            rows.append(ShrunkLayer(name, len(kept), int(kept.sum()), int((kept & outputs.constant).sum())))
        elif name not in trace.rules or isinstance(trace.rules[name], Gating):
            rows += [
                ShrunkLayer(f"{name}.{inner.argument}", inner.size, int(inner_kept(inner).sum()), 0)
                for inner in inner_channels_of(layer)
            ]
    parameters = sum(weight.size for weight in model.get_weights())
    return ShrinkReport(tuple(rows), tuple(trace.untraced.items()), parameters, left)


def _removal(model: keras.Model, channels: ChannelChoice | None) -> Removal:
    graph = open_graph(model)
    if channels is not None and not isinstance(channels, Mapping):
        raise refuse("channels", "must map names of layers to indices", channels, "Pass for example {'conv': [0]}.")
    paths = {id(layer): path for path, layer in walk(model)}
    forced = {paths[id(find(model, name, "channels"))]: indices for name, indices in (channels or {}).items()}
    return Removal(Trace(graph), forced)
