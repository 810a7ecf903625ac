"""The one wrapper that makes any layer compute with quantized kernels and activations."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_arch.compression.quantization.phase import CALIBRATE, FROZEN, OBSERVE, PHASES, QUANTIZE
from keras_arch.compression.quantization.scheme import PerTensor, Scheme, as_scheme
from keras_arch.core import check
from keras_arch.core.lending import call_with_values
from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class Placement(Value):
    """Which tensors of one layer are rounded.

    Args:
        inputs: positions of the input tensors to round, those that no layer before has rounded.
        outputs: positions of the output tensors to round.
        before_activation: round also what enters the activation that the wrapper took over.
        output_range: a range that the hardware fixes, such as that of softmax; None to observe it.

    >>> Placement(inputs=(0,)).outputs
    (0,)
    """

    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = (0,)
    before_activation: bool = False
    output_range: tuple[float, float] | None = None


def kernels_of(layer: keras.Layer) -> list[keras.Variable]:
    """The weights of a layer that are quantized: float, of rank 2 or more, and trained unless the layer is frozen.

    >>> dense = keras.layers.Dense(3)
    >>> dense.build((None, 2))
    >>> [kernel.name for kernel in kernels_of(dense)]
    ['kernel']
    """
    weights = layer.trainable_weights if layer.trainable else layer.weights
    return [weight for weight in weights if len(weight.shape) >= 2 and keras.backend.is_float_dtype(weight.dtype)]


def channel_axes(scheme: Scheme, shape: tuple[int, ...], channels: int | None) -> tuple[int, ...]:
    """Axes of a kernel that get a range for each index.

    Args:
        scheme: how kernels are quantized.
        shape: shape of the kernel.
        channels: number of output channels of its layer, None if unknown.
    Returns:
        () for one range; the last axis where it counts the output channels; the last two where their product does, as
        in a depthwise kernel.

    >>> channel_axes(Scheme.for_weights(8), (3, 3, 8, 2), channels=16)
    (2, 3)
    """
    if isinstance(scheme.granularity, PerTensor):
        return ()
    rank = len(shape)
    if scheme.granularity.axis is not None:
        axis = scheme.granularity.axis
        if not -rank <= axis < rank:
            raise check.refuse("axis", f"must be an axis of the kernel of shape {shape}", axis, "Use axis=-1.")
        return (axis % rank,)
    if rank == 2:
        return ()
    if shape[-1] != channels and shape[-1] * shape[-2] == channels:
        return (rank - 2, rank - 1)
    return (rank - 1,)


@register
class QuantizedLayer(keras.layers.Wrapper):
    """A layer computed with fake-quantized kernels, its inputs and outputs rounded where its placement says so.

    It lends the inner layer other values of its weights for the time of a call, so it needs to know nothing about the
    layer. Ranges are non-trainable weights; the phase is saved with the layer. `quantize` makes these wrappers.

    Args:
        layer: any Keras layer.
        weights: `Scheme` of the kernels, or bits.
        activations: `Scheme` of inputs and outputs, or bits.
        placement: which tensors are rounded.
        activation: what is applied to the inner layer's output, taken over from it so that the tensor between can be
            rounded; None if there is nothing between.
        phase: "observe", "calibrate", "quantize" or "frozen"; see `set_phase`.
        **kwargs: `name` and `trainable`, as for every layer.

    Inner layers that keep statistics, such as BatchNormalization, run in inference mode once frozen.

    >>> layer = QuantizedLayer(keras.layers.Dense(2), weights=4, activations=8, phase="quantize")
    >>> layer(np.ones((1, 3), "float32"), training=True).shape
    TensorShape([1, 2])
    """

    def __init__(
        self,
        layer: keras.Layer,
        weights: int | Scheme = 8,
        activations: int | Scheme = 8,
        placement: Placement | None = None,
        activation: str | Callable | None = None,
        phase: str = OBSERVE,
        **kwargs: Any,
    ) -> None:
        # The wrapper holds ranges in float32 and leaves every cast to the inner layer.
        super().__init__(layer, **{**kwargs, "dtype": "float32"})
        self.autocast = False
        self.weights_scheme = as_scheme("weights", weights)
        self.activations_scheme = as_scheme("activations", activations)
        self.placement = Placement() if placement is None else placement
        self.activation = None if activation is None else keras.activations.get(activation)
        self.quantization_phase = check.one_of("phase", phase, PHASES)
        self.takes_training = "training" in inspect.signature(layer.call).parameters
        self.supports_masking = layer.supports_masking
        self.ranges = {}
        self.kernels = []

    def build(self, input_shape: Any) -> None:
        """Build the inner layer, find its kernels, create the ranges."""
        super().build(input_shape)
        channels = self._output_channels(input_shape)
        self.kernels = kernels_of(self.layer)
        self.kernel_axes = [channel_axes(self.weights_scheme, kernel.shape, channels) for kernel in self.kernels]
        names = [f"input_{i}" for i in self.placement.inputs]
        if self.placement.before_activation:
            names.append("before_activation")
        if self.placement.output_range is None:
            names += [f"output_{i}" for i in self.placement.outputs]
        self.ranges = {name: (self._scalar(f"{name}_low"), self._scalar(f"{name}_high")) for name in names}
        self.batches = self._scalar("batches", "int32", "only_first_replica")

    def _scalar(self, name: str, dtype: str = "float32", aggregation: str = "mean") -> keras.Variable:
        return self.add_weight(
            shape=(),
            initializer="zeros",
            dtype=dtype,
            trainable=False,
            autocast=False,
            aggregation=aggregation,
            name=name,
        )

    def _output_channels(self, input_shape: Any) -> int | None:
        shape = self.layer.compute_output_shape(input_shape)
        if not isinstance(shape, tuple) or not shape or isinstance(shape[0], tuple):
            return None
        first = getattr(self.layer, "data_format", None) == "channels_first"
        return shape[1] if first else shape[-1]

    @property
    def rounds(self) -> bool:
        """Whether the present phase computes with quantized values."""
        return self.quantization_phase in (QUANTIZE, FROZEN)

    def call(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Call the inner layer on rounded values."""
        records = self.quantization_phase == CALIBRATE
        records = records or (bool(training) and self.quantization_phase in (OBSERVE, QUANTIZE))
        inputs = self._round_each("input", self.placement.inputs, inputs, records)
        outputs = self._call_inner(inputs, *args, training=training, **kwargs)
        if self.activation is not None:
            if self.placement.before_activation:
                outputs = self._round("before_activation", outputs, records)
            outputs = self.activation(outputs)
        outputs = self._round_each("output", self.placement.outputs, outputs, records)
        if records:
            self.batches.assign(self.batches + 1)
        return outputs

    def _call_inner(self, inputs: Any, *args: Any, training: bool | None, **kwargs: Any) -> Any:
        if self.takes_training:
            # Weights that are not trained, of a layer that is, are running statistics.
            frozen = self.quantization_phase == FROZEN and self.layer.trainable and self.layer.non_trainable_weights
            kwargs["training"] = False if frozen else training
        if not self.rounds or not self.kernels:
            return self.layer(inputs, *args, **kwargs)
        lent = [
            (kernel, self._lent_value(kernel, axes, bool(training)))
            for kernel, axes in zip(self.kernels, self.kernel_axes, strict=True)
        ]
        outputs, losses = call_with_values(self.layer, lent, inputs, *args, **kwargs)
        for loss in losses:
            self.add_loss(loss)
        return outputs

    def _lent_value(self, kernel: keras.Variable, axes: tuple[int, ...], training: bool) -> Any:
        rounded = self.weights_scheme.quantize_kernel(kernel.value, axes)
        if not (training and getattr(self.weights_scheme.observer, "covers", False)):
            return rounded
        # No value lies outside its own range, so the gradient is 1 everywhere: adding an exact zero that carries it is
        # cheaper than the gradient operation of fake quantization.
        value = ops.reshape(kernel.value, kernel.shape)
        return ops.stop_gradient(rounded) + (value - ops.stop_gradient(value))

    def _round_each(self, side: str, positions: tuple[int, ...], tensors: Any, records: bool) -> Any:
        if not positions:
            return tensors
        flat = keras.tree.flatten(tensors)
        for i in positions:
            flat[i] = self._round(f"{side}_{i}", flat[i], records)
        return keras.tree.pack_sequence_as(tensors, flat)

    def _round(self, name: str, x: Any, records: bool) -> Any:
        scheme = self.activations_scheme
        if name not in self.ranges:
            return scheme.quantize(x, *self.placement.output_range) if self.rounds else x
        low, high = self.ranges[name]
        low_value, high_value = low.value, high.value
        if records:
            measured = scheme.observer.measure(ops.stop_gradient(x))
            low_value, high_value = scheme.observer.merge(low_value, high_value, *measured, self.batches.value)
            low.assign(low_value)
            high.assign(high_value)
        return scheme.quantize(x, low_value, high_value) if self.rounds else x

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The inner layer's mask."""
        return self.layer.compute_mask(inputs, previous_mask)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The inner layer's output shape."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Settings for `keras.saving`, with the present phase."""
        save = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "weights": save(self.weights_scheme),
            "activations": save(self.activations_scheme),
            "placement": save(self.placement),
            "activation": None if self.activation is None else keras.activations.serialize(self.activation),
            "phase": self.quantization_phase,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "QuantizedLayer":
        """Rebuild a wrapper that `get_config` described."""
        load = keras.saving.deserialize_keras_object
        parts = ("layer", "weights", "activations", "placement")
        return cls(**{**config, **{part: load(config[part], custom_objects=custom_objects) for part in parts}})
