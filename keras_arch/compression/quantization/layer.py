"""The one wrapper that makes any layer compute with quantized kernels and activations."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_arch.compression.quantization.float_islands import out_of_integers
from keras_arch.compression.quantization.kernels import channel_axes, kernels_of
from keras_arch.compression.quantization.learned_range import LearnedRange
from keras_arch.compression.quantization.phase import CALIBRATE, FROZEN, OBSERVE, PHASES, QUANTIZE
from keras_arch.compression.quantization.scheme import Scheme, as_scheme
from keras_arch.core import check
from keras_arch.core.lending import call_with_values
from keras_arch.core.registration import register
from keras_arch.core.value import Value
from keras_arch.ops.fake_quant import straight_through


@register
@dataclasses.dataclass(frozen=True)
class Placement(Value):
    """Which tensors of one layer are rounded.

    Args:
        inputs: positions of the input tensors to round, those that no layer before has rounded.
        outputs: positions of the output tensors to round.
        before_activation: round also what enters the activation that the wrapper took over.
        output_range: a range that the hardware fixes, such as that of softmax; None to observe it.
        in_float: why the layer computes in float between its rounded ends; None where it computes integers.

    >>> Placement(inputs=(0,)).outputs
    (0,)
    """

    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = (0,)
    before_activation: bool = False
    output_range: tuple[float, float] | None = None
    in_float: str | None = None


def learns(scheme: Scheme) -> bool:
    """Whether the steps of what a scheme rounds are trained.

    >>> learns(Scheme(8)), learns(Scheme(8, observer="learned_step"))
    (False, True)
    """
    return getattr(scheme.observer, "learns", False)


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
    Attributes:
        listener: None, or a function that is told `(name, x, low, high)` of each tensor that is to be rounded.

    Inner layers that keep statistics, such as BatchNormalization, run in inference mode once frozen.

    >>> layer = QuantizedLayer(keras.layers.Dense(2), weights=4, activations=8, phase="quantize")
    >>> layer(np.ones((1, 3), "float32"), training=True).shape
    TensorShape([1, 2])
    """

    listener: Callable[[str, Any, Any, Any], None] | None = None

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
        self.exporting = False
        self.kernels = []
        self.learned = {}

    def build(self, input_shape: Any) -> None:
        """Build the inner layer, find its kernels, create the ranges."""
        super().build(input_shape)
        self.kernels = kernels_of(self.layer)
        channels = self._output_channels(input_shape) if self.kernels else None
        self.kernel_axes = [channel_axes(self.weights_scheme, kernel.shape, channels) for kernel in self.kernels]
        names = [f"input_{i}" for i in self.placement.inputs]
        if self.placement.before_activation:
            names.append("before_activation")
        if self.placement.output_range is None:
            names += [f"output_{i}" for i in self.placement.outputs]
        self.ranges = {name: self._range(name) for name in names}
        self.batches = self._state("batches", "int32", "only_first_replica")
        if learns(self.activations_scheme):
            for name, ends in self.ranges.items():
                self.learned[name] = LearnedRange(self.activations_scheme, *ends, self._step(name))
        if learns(self.weights_scheme):
            for i, (kernel, axes) in enumerate(zip(self.kernels, self.kernel_axes, strict=True)):
                moved, count, _ = self.weights_scheme.channels_last(kernel.value, axes)
                shape, name = tuple(moved.shape[len(moved.shape) - count :]), f"kernel_{i}"
                ends = self._range(name, shape)
                self.learned[name] = LearnedRange(self.weights_scheme, *ends, self._step(name, shape))
        self._start_steps(self.quantization_phase)

    def _range(self, name: str, shape: tuple[int, ...] = ()) -> tuple[keras.Variable, keras.Variable]:
        return self._state(f"{name}_low", shape=shape), self._state(f"{name}_high", shape=shape)

    def _step(self, name: str, shape: tuple[int, ...] = ()) -> keras.Variable:
        settings = {"dtype": "float32", "autocast": False, "name": f"{name}_step"}
        return self.add_weight(shape=shape, initializer="zeros", trainable=True, **settings)

    def _state(
        self, name: str, dtype: str = "float32", aggregation: str = "mean", shape: tuple[int, ...] = ()
    ) -> keras.Variable:
        return self.add_weight(
            shape=shape,
            initializer="zeros",
            dtype=dtype,
            trainable=False,
            autocast=False,
            aggregation=aggregation,
            name=name,
        )

    def enter(self, phase: str) -> None:
        """Change the phase, and what learned steps and their ranges say with it; see `set_phase`, which calls it."""
        if self.quantization_phase == QUANTIZE:
            for learned in self.learned.values():
                learned.settle()
        self._start_steps(phase)
        self.quantization_phase = phase

    def _start_steps(self, phase: str) -> None:
        """Give kernels their first ranges before they are rounded, and steps their values before they are trained."""
        if phase not in (QUANTIZE, FROZEN):
            return
        for i, (kernel, axes) in enumerate(zip(self.kernels, self.kernel_axes, strict=True)):
            learned = self.learned.get(f"kernel_{i}")
            if learned is not None and not ops.convert_to_numpy(learned.high).any():
                moved, count, _ = self.weights_scheme.channels_last(kernel.value, axes)
                for end, value in zip(
                    (learned.low, learned.high), self.weights_scheme.measure_moved(moved, count), strict=True
                ):
                    end.assign(value)
        if phase == QUANTIZE:
            for learned in self.learned.values():
                learned.start()

    def _output_channels(self, input_shape: Any) -> int | None:
        try:
            shape = self.layer.compute_output_shape(input_shape)
        except TypeError:  # a layer that takes several tensors asks for several shapes
            return None
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
        inputs, args, kwargs = self._round_given((inputs, args, kwargs), records)
        if self.exporting and self.placement.in_float:
            inputs, args, kwargs = keras.tree.map_structure(out_of_integers, (inputs, args, kwargs))
        outputs = self._call_inner(inputs, *args, training=training, **kwargs)
        if self.activation is not None:
            if self.placement.before_activation:
                outputs = self._round("before_activation", outputs, records)
            outputs = self.activation(outputs)
        outputs = self._round_each("output", self.placement.outputs, outputs, records)
        if records:
            self.batches.assign(self.batches + 1)
        if training and self.quantization_phase != QUANTIZE:
            for learned in self.learned.values():  # an optimizer asks for a gradient of every weight it knows
                self.add_loss(0.0 * ops.sum(learned.step))
        return outputs

    def _call_inner(self, inputs: Any, *args: Any, training: bool | None, **kwargs: Any) -> Any:
        if self.takes_training:
            # Weights that are not trained, of a layer that is, are running statistics.
            frozen = self.quantization_phase == FROZEN and self.layer.trainable and self.layer.non_trainable_weights
            kwargs["training"] = False if frozen else training
        if not self.rounds or not self.kernels:
            return self.layer(inputs, *args, **kwargs)
        lent = [
            (kernel, self._lent_value(i, kernel, axes, bool(training)))
            for i, (kernel, axes) in enumerate(zip(self.kernels, self.kernel_axes, strict=True))
        ]
        outputs, losses = call_with_values(self.layer, lent, inputs, *args, **kwargs)
        for loss in losses:
            self.add_loss(loss)
        return outputs

    def present_range(self, name: str) -> tuple[Any, Any]:
        """The range that a tensor is rounded over now: the learned one while it is trained, the kept one otherwise."""
        if name in self.learned and self.quantization_phase == QUANTIZE:
            return self.learned[name].ends()
        low, high = self.ranges[name]
        return low.value, high.value

    def kernel_range(self, i: int, moved: Any, count: int) -> tuple[Any, Any]:
        """Range of the i-th kernel, which `Scheme.channels_last` moved: the learned one, or that of its values."""
        learned = self.learned.get(f"kernel_{i}")
        if learned is None or not self.rounds:
            return self.weights_scheme.measure_moved(moved, count)
        return learned.ends() if self.quantization_phase == QUANTIZE else (learned.low.value, learned.high.value)

    def _lent_value(self, i: int, kernel: keras.Variable, axes: tuple[int, ...], training: bool) -> Any:
        scheme, learned = self.weights_scheme, self.learned.get(f"kernel_{i}")
        moved, count, back = scheme.channels_last(kernel.value, axes)
        if learned is not None and training and self.quantization_phase == QUANTIZE:
            sharing = math.prod(moved.shape[: len(moved.shape) - count])
            return back(learned.quantize(moved, sharing))
        rounded = scheme.quantize(moved, *self.kernel_range(i, moved, count), count)
        # No value lies outside its own range: the gradient is 1 everywhere.
        covers = training and getattr(scheme.observer, "covers", False)
        return back(straight_through(moved, rounded) if covers else rounded)

    def _round_each(self, side: str, positions: tuple[int, ...], tensors: Any, records: bool) -> Any:
        if not positions:
            return tensors
        flat = keras.tree.flatten(tensors)
        for i in positions:
            flat[i] = self._round(f"{side}_{i}", flat[i], records)
        return keras.tree.pack_sequence_as(tensors, flat)

    def _round_given(self, given: tuple[Any, tuple, dict], records: bool) -> tuple[Any, tuple, dict]:
        """Round what a call was given, counting the tensors in the order of the arguments."""
        if not self.placement.inputs:
            return given
        inputs, args, kwargs = given
        count = iter(range(10**6))

        def visit(x: Any) -> Any:
            position = next(count) if ops.is_tensor(x) or keras.backend.is_keras_tensor(x) else None
            return self._round(f"input_{position}", x, records) if position in self.placement.inputs else x

        args = [keras.tree.map_structure(visit, value) for value in (inputs, *args)]
        return args[0], tuple(args[1:]), {name: keras.tree.map_structure(visit, x) for name, x in kwargs.items()}

    def _round(self, name: str, x: Any, records: bool) -> Any:
        scheme, learned = self.activations_scheme, self.learned.get(name)
        trains = learned is not None and self.quantization_phase == QUANTIZE
        if name not in self.ranges:
            low_value, high_value = self.placement.output_range
        else:
            low_value, high_value = self.present_range(name)
            if records and not trains:
                join = scheme.observer.merge
                if self.quantization_phase == CALIBRATE:
                    join = getattr(scheme.observer, "pool", join)
                measured = scheme.measure(ops.stop_gradient(x))
                low_value, high_value = join(low_value, high_value, *measured, self.batches.value)
                for end, value in zip(self.ranges[name], (low_value, high_value), strict=True):
                    end.assign(value)
        if self.listener is not None:
            self.listener(name, x, low_value, high_value)
        if trains and records:
            return learned.quantize(x, math.prod(ops.cast(size, "float32") for size in ops.shape(x)[1:]))
        return scheme.quantize(x, low_value, high_value) if self.rounds else x

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The inner layer's mask."""
        return self.layer.compute_mask(inputs, previous_mask)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs of a call on symbolic tensors, whatever number of them the inner layer takes."""
        return super(keras.Layer, self).compute_output_spec(*args, **kwargs)

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
