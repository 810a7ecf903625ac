"""The figures of a prepared model: ranges of its activations, rounding noise of its kernels."""

import keras
import numpy as np
from keras import ops

from keras_arch.compression.quantization.layer import QuantizedLayer
from keras_arch.compression.quantization.phase import prepared_layers
from keras_arch.compression.quantization_report import LayerQuantization, QuantizationReport


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
    low, high = (float(ops.convert_to_numpy(end)) for end in layer.ranges[f"output_{position}"])
    return low, high


def layer_figures(path: str, layer: QuantizedLayer) -> LayerQuantization:
    """The row of one layer.

    Args:
        path: its path, copied into the row.
        layer: a wrapper made by `quantize`.

    >>> layer = QuantizedLayer(keras.layers.Dense(2), weights=8)
    >>> layer.build((None, 3))
    >>> 30 < layer_figures("dense", layer).sqnr_db < 70
    True
    """
    signal = noise = count = zeros = 0.0
    for kernel, axes in zip(layer.kernels, layer.kernel_axes, strict=True):
        exact = ops.convert_to_numpy(ops.cast(kernel, "float32")).astype("float64")
        rounded = ops.convert_to_numpy(layer.weights_scheme.quantize_kernel(kernel.value, axes)).astype("float64")
        signal, noise = signal + np.square(exact).sum(), noise + np.square(exact - rounded).sum()
        count, zeros = count + exact.size, zeros + (rounded == 0).sum()
    measured = output_range(layer)
    rounds = bool(layer.ranges or layer.placement.outputs)
    return LayerQuantization(
        path=path,
        weight_bits=layer.weights_scheme.bits if layer.kernels else None,
        activation_bits=layer.activations_scheme.bits if rounds else None,
        low=None if measured is None else measured[0],
        high=None if measured is None else measured[1],
        sqnr_db=_decibels(signal, noise) if layer.kernels else None,
        mean_squared_error=float(noise / count) if layer.kernels else None,
        zeros=float(zeros / count) if layer.kernels else None,
    )


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return float("inf")
    return float(10 * np.log10(signal / noise))


def measure(model: keras.Model) -> QuantizationReport:
    """The figures of every layer of a prepared model that rounds anything; nothing is exported.

    Args:
        model: what `keras_arch.compression.quantize` returned.
    Raises:
        ValueError: for an unprepared model.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="only")])
    >>> [row.path for row in measure(ka.compression.quantize(model)).layers]
    ['only']
    """
    rows = [layer_figures(path, layer) for path, layer in prepared_layers(model)]
    return QuantizationReport(tuple(row for row in rows if row.weight_bits or row.activation_bits))
