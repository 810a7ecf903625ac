"""The figures of a prepared model: ranges, rounding noise and saturation of its kernels and activations."""

import contextlib
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_arch.compression.graph import inputs_of
from keras_arch.compression.quantization.calibrate import as_samples
from keras_arch.compression.quantization.layer import QuantizedLayer
from keras_arch.compression.quantization.phase import prepared_layers, require_ranges
from keras_arch.compression.quantization.rounding import Rounding
from keras_arch.compression.quantization.scheme import Scheme
from keras_arch.compression.quantization_report import LayerQuantization, QuantizationReport
from keras_arch.core import check
from keras_arch.core.tap import replaced


def output_range(layer: QuantizedLayer, position: int = 0) -> tuple[float, float] | None:
    """Range of one output of a layer, None if it is not rounded or was not observed.

    Args:
        layer: a wrapper made by `quantize`.
        position: which output.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
    >>> output_range(ka.compression.quantize(model).layers[0])
    (0.0, 0.99609375)
    """
    if position not in layer.placement.outputs:
        return None
    if layer.placement.output_range is not None:
        return layer.placement.output_range
    if int(ops.convert_to_numpy(layer.batches)) == 0:
        return None
    low, high = (float(ops.convert_to_numpy(end)) for end in layer.present_range(f"output_{position}"))
    return low, high


def kernel_rounding(layer: QuantizedLayer) -> Rounding:
    """What rounding does to the kernels of one layer.

    >>> layer = QuantizedLayer(keras.layers.Dense(2), weights=8)
    >>> layer.build((None, 3))
    >>> kernel_rounding(layer).count
    6
    """
    sums, scheme = Rounding(), layer.weights_scheme
    for i, (kernel, axes) in enumerate(zip(layer.kernels, layer.kernel_axes, strict=True)):
        moved, count, _ = scheme.channels_last(ops.cast(kernel.value, "float32"), axes)
        sums.add(moved, scheme, *layer.kernel_range(i, moved, count), count)
    return sums


def activation_rounding(model: keras.Model, samples: Any, batch_size: int = 32) -> dict[str, Rounding]:
    """What rounding does to the activations of each layer, measured in a forward pass of the model in its phase.

    Args:
        model: a prepared model that has ranges.
        samples: see `measure`.
        batch_size: samples in one forward pass.
    Returns:
        Path of a layer to the sums over all the tensors that it rounds.

    >>> q = ka.compression.quantize(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="only")]))
    >>> x = np.ones((8, 3))
    >>> activation_rounding(ka.compression.calibrate(q, x), x)["only"].count
    40
    """
    arrays, count = as_samples(model, samples)
    check.integer("batch_size", batch_size)
    require_ranges(model)
    found: dict[str, Rounding] = {}

    def listener(path: str, scheme: Scheme) -> Callable[[str, Any, Any, Any], None]:
        def listen(_: str, x: Any, low: Any, high: Any) -> None:
            found.setdefault(path, Rounding()).add(x, scheme, low, high)

        return listen

    with contextlib.ExitStack() as stack:
        for path, layer in prepared_layers(model):
            stack.enter_context(replaced(layer, listener=listener(path, layer.activations_scheme)))
        for start in range(0, count, batch_size):
            batch = [array[start : start + batch_size] for array in arrays]
            model(keras.tree.pack_sequence_as(inputs_of(model), batch), training=False)
    return found


def layer_figures(path: str, layer: QuantizedLayer, activations: Rounding | None = None) -> LayerQuantization:
    """The row of one layer.

    Args:
        path: its path, copied into the row.
        layer: a wrapper made by `quantize`.
        activations: sums over the tensors it rounded, None if no samples were shown.

    >>> layer = QuantizedLayer(keras.layers.Dense(2), weights=8)
    >>> layer.build((None, 3))
    >>> 30 < layer_figures("dense", layer).sqnr_db < 70
    True
    """
    kernels = kernel_rounding(layer) if layer.kernels else None
    measured = output_range(layer)
    rounds = bool(layer.ranges or layer.placement.outputs)
    return LayerQuantization(
        path=path,
        weight_bits=layer.weights_scheme.bits if layer.kernels else None,
        activation_bits=layer.activations_scheme.bits if rounds else None,
        low=None if measured is None else measured[0],
        high=None if measured is None else measured[1],
        sqnr_db=kernels and kernels.sqnr_db,
        mean_squared_error=kernels and kernels.mean_squared_error,
        zeros=kernels and kernels.zero_share,
        saturation=kernels and kernels.saturation,
        activation_sqnr_db=activations and activations.sqnr_db,
        activation_mean_squared_error=activations and activations.mean_squared_error,
        activation_saturation=activations and activations.saturation,
    )


def measure(model: keras.Model, samples: Any = None, batch_size: int = 32) -> QuantizationReport:
    """The figures of every layer of a prepared model that rounds anything; nothing is exported or changed.

    Args:
        model: what `keras_arch.compression.quantize` returned.
        samples: array (N, ...), or a list or dict of arrays as the model takes them, N >= 1, to measure the rounding of
            activations on; None leaves these figures out.
        batch_size: samples in one forward pass.
    Raises:
        ValueError: for an unprepared model, samples that do not fit it, or samples for a model without ranges.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="only")])
    >>> [row.path for row in measure(ka.compression.quantize(model)).layers]
    ['only']
    """
    layers = prepared_layers(model)
    shown = {} if samples is None else activation_rounding(model, samples, batch_size)
    rows = [layer_figures(path, layer, shown.get(path)) for path, layer in layers]
    return QuantizationReport(tuple(row for row in rows if row.weight_bits or row.activation_bits))
