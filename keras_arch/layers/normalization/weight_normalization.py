"""A layer whose kernel is learned as directions and lengths of its filters."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.lending import call_with_values
from keras_arch.core.registration import register
from keras_arch.ops.weight_normalization import filter_norms, weight_normalized

# Axes of the kernel that count the filters, by the kind of layer; of an EinsumDense its equation says them.
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_FILTERS_LAST = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


@register
class WeightNormalization(keras.layers.Wrapper):
    """Learn direction and length of every filter of a layer apart.

    w[f] = gain[f] v[f] / ||v[f]||.   f: filter of the kernel w; v: the wrapped layer's own `kernel` variable.

    The wrapped layer computes with w in place of its kernel, in every call; nothing is assigned. So v and `gain` are
    what is trained, and one number a filter is all that is added to the weights. The first gain is ||v||: wrapping
    changes nothing of what a layer computes, trained or not. `kernel` is w; `fold` gives the plain layer back.

    Filters are the units of a Dense, the output channels of a convolution, transposed or not, each channel and
    multiplier of a depthwise one, and of an EinsumDense whatever its equation does not sum over. (PyTorch's
    `weight_norm` has to be told `dim=1` for a transposed convolution.) A bias stays as it is. The norm is taken in
    float32. A kernel regularizer goes on acting on w: as a loss that a call adds. A mask is the wrapped layer's affair.

    Quantize after `fold`: a quantized kernel has no direction to learn.

    Args:
        layer: Dense, EinsumDense, or a 1D, 2D or 3D convolution, plain, depthwise or transposed; or any layer with one
            weight named "kernel", if `axis` is given. Its dtype is that of the whole.
        axis: axis or axes of the kernel that count the filters; None for those of the known layers.
        **kwargs: `name` and `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: what the wrapped layer takes.

    Returns:
        What the wrapped layer returns.

    Raises:
        ValueError: for a layer whose filters are unknown, a kernel constraint (it would act on v, which has no length
            that matters), an axis that the kernel lacks, a `dtype` other than the layer's, or a quantized kernel.

    The paper's data-dependent initialization is a method, `initialize`.

    Source: Salimans & Kingma 2016, arXiv:1602.07868, sections 2 and 3.

    >>> layer = ka.layers.WeightNormalization(keras.layers.Dense(3))
    >>> layer.build((None, 4))
    >>> [(weight.name, tuple(weight.shape)) for weight in layer.trainable_weights]
    [('gain', (3,)), ('kernel', (4, 3)), ('bias', (3,))]
    """

    def __init__(self, layer: keras.layers.Layer, axis: int | tuple[int, ...] | None = None, **kwargs) -> None:
        if not isinstance(layer, keras.layers.Layer):
            raise check.refuse("layer", "must be a Keras layer", layer, "Pass for example keras.layers.Dense(8).")
        dtype = kwargs.pop("dtype", None)
        if dtype is not None and keras.dtype_policies.get(dtype).name != layer.dtype_policy.name:
            raise check.refuse("dtype", f"must be the layer's, {layer.dtype_policy.name!r}", dtype, "Leave it out.")
        if axis is None and not isinstance(
            layer, (*_FILTERS_LAST, *_TRANSPOSED, *_DEPTHWISE, keras.layers.EinsumDense)
        ):
            advice = 'Pass axis=, the axes of its weight "kernel" that count the filters.'
            raise check.refuse("layer", "must be of a kind whose filters are known", layer, advice)
        if getattr(layer, "kernel_constraint", None) is not None:
            advice = "Use a kernel regularizer, which acts on the normalized kernel, or none."
            raise check.refuse("layer", "must have no kernel constraint", layer.kernel_constraint, advice)
        # In the dtype of the weights, so that they are read unrounded; the wrapped layer casts what it computes with.
        super().__init__(layer, dtype=layer.variable_dtype, autocast=False, **kwargs)
        self.axis = list(axis) if isinstance(axis, tuple | list) else axis
        self.supports_masking = layer.supports_masking

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        kernel = self._direction
        self.filter_axes = self._find_filter_axes(len(kernel.shape))
        self.kernel_regularizer, kernel.regularizer = kernel.regularizer, None
        self.gain = self.add_weight(
            name="gain",
            shape=filter_norms(keras.KerasTensor(kernel.shape), self.filter_axes).shape,
            initializer=lambda shape, dtype: ops.cast(filter_norms(kernel.value, self.filter_axes), dtype),
            dtype=kernel.dtype,
            autocast=False,
        )

    @property
    def kernel(self) -> Any:
        """The kernel that the layer computes with: filters along v with the length `gain`."""
        direction = self._direction
        kernel = weight_normalized(direction.value, self.gain.value, self.filter_axes)
        return ops.cast(kernel, direction.dtype)

    def call(self, inputs: Any) -> Any:
        kernel = self.kernel
        if self.kernel_regularizer is not None and self._direction.trainable:
            self.add_loss(self.kernel_regularizer(kernel))
        outputs, losses = call_with_values(self.layer, [(self._direction, kernel)], inputs)
        for loss in losses:
            self.add_loss(loss)
        return outputs

    def fold(self) -> keras.layers.Layer:
        """Return a plain layer of the wrapped layer's kind and name that computes the same, with w as its kernel.

        Raises:
            ValueError: before the layer is built.

        >>> x = np.ones((2, 4), "float32")
        >>> layer = ka.layers.WeightNormalization(keras.layers.Dense(3))
        >>> before, plain = layer(x), layer.fold()
        >>> type(plain).__name__, bool(np.allclose(before, plain(x), atol=1e-6))
        ('Dense', True)
        """
        return self._plain(self.gain.value if self.built else None)

    def initialize(self, inputs: Any) -> Any:
        """Set gains and bias so that on a batch every filter's pre-activation has mean 0 and variance 1.

        gain[f] = 1 / sigma[f], bias[f] = -mu[f] / sigma[f]; mu, sigma: mean and standard deviation, over samples and
        places, of what filter f gives for `inputs` with gain 1 and no bias. Without a bias only the variance is set. A
        filter that gives the same everywhere keeps its gain. Call it once before training, outside compiled code, one
        layer after the other: what it returns is the input of the next.

        Args:
            inputs: a batch, as the layer takes it. Builds the layer where that is not done.
        Returns:
            The layer's outputs for the batch, as initialized.
        Raises:
            ValueError: for an EinsumDense whose filters are not the last axes of its output, each with a bias or none.

        Source: Salimans & Kingma 2016, arXiv:1602.07868, section 3.

        >>> layer = ka.layers.WeightNormalization(keras.layers.Dense(3, activation="relu"))
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        >>> _ = layer.initialize(x)
        >>> folded = layer.fold()
        >>> before = keras.ops.convert_to_numpy(x @ folded.kernel + folded.bias)
        >>> bool(np.allclose(before.mean(0), 0, atol=1e-5)), bool(np.allclose(before.std(0), 1, atol=1e-5))
        (True, True)
        """
        if not self.built:
            self(inputs)
        bias = getattr(self.layer, "bias", None)
        self._refuse_scattered_filters(bias)
        linear = {"activation": None} if hasattr(self.layer, "activation") else {}
        unit = self._plain(ops.ones(self.gain.shape), **linear)
        if bias is not None:
            unit.bias.assign(ops.zeros(bias.shape))
        values = ops.cast(unit(inputs), "float32")
        if getattr(self.layer, "data_format", None) == "channels_first":
            values = ops.moveaxis(values, 1, -1)
        values = ops.reshape(values, (-1, self.gain.shape[0]))  # (samples and places, F)
        mean, deviation = ops.mean(values, axis=0), ops.std(values, axis=0)
        varies = deviation > 0
        gain = ops.where(varies, 1 / ops.where(varies, deviation, 1.0), ops.cast(self.gain.value, "float32"))
        self.gain.assign(gain)
        if bias is not None:
            bias.assign(ops.reshape(-mean * gain, bias.shape))
        return self(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def compute_output_spec(self, inputs: Any) -> Any:
        return self.layer.compute_output_spec(inputs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return self.layer.compute_mask(inputs, previous_mask)

    def get_config(self) -> dict:
        config = super().get_config()
        del config["dtype"]  # the wrapped layer's config has it
        return {**config, "axis": self.axis}

    @property
    def _direction(self) -> keras.Variable:
        """The wrapped layer's kernel variable; looked up, since `quantize` puts another in its place."""
        found = [weight for weight in self.layer.weights if weight.name == "kernel"]
        if len(found) != 1:
            raise check.refuse("layer", 'must have one weight named "kernel"', self.layer, "Wrap its parts.")
        if not keras.backend.is_float_dtype(found[0].dtype):
            advice = "Take the plain layer by fold() and quantize that."
            raise check.refuse(
                "layer", "must have a float kernel", keras.backend.standardize_dtype(found[0].dtype), advice
            )
        return found[0]

    def _find_filter_axes(self, rank: int) -> tuple[int, ...]:
        if self.axis is not None:
            axes = self.axis if isinstance(self.axis, list) else [self.axis]
        elif isinstance(self.layer, keras.layers.EinsumDense):
            _, kernel, output = _labels(self.layer)
            axes = [axis for axis, label in enumerate(kernel) if label in output]
        elif isinstance(self.layer, _DEPTHWISE):
            axes = [-2, -1]
        else:
            axes = [-2 if isinstance(self.layer, _TRANSPOSED) else -1]
        if not axes or not all(isinstance(axis, int) and -rank <= axis < rank for axis in axes):
            raise check.refuse("axis", f"must name axes of a kernel of rank {rank}", self.axis, "Pass for example -1.")
        return tuple(sorted({axis % rank for axis in axes}))

    def _refuse_scattered_filters(self, bias: keras.Variable | None) -> None:
        if not isinstance(self.layer, keras.layers.EinsumDense):
            return
        _, kernel, output = _labels(self.layer)
        filters = "".join(kernel[axis] for axis in self.filter_axes)
        sizes = tuple(self._direction.shape[axis] for axis in self.filter_axes)
        if not output.endswith(filters) or (bias is not None and tuple(bias.shape) != sizes):
            advice = "Set its gain and bias by assign."
            rule = "must have its filters as the last axes of the output, each with a bias or none"
            raise check.refuse("equation", rule, self.layer.equation, advice)

    def _plain(self, gain: Any, **changes: Any) -> keras.layers.Layer:
        """A copy of the wrapped layer with the kernel that it has at some gain."""
        if not self.built:
            raise check.refuse("layer", "must be built", self.layer, "Call the layer once, or build it.")
        plain = type(self.layer).from_config({**self.layer.get_config(), **changes})
        plain.build_from_config(self.layer.get_build_config())
        for copy, weight in zip(plain.weights, self.layer.weights, strict=True):
            value = weight.value
            if weight is self._direction:
                value = ops.cast(weight_normalized(weight.value, gain, self.filter_axes), weight.dtype)
            copy.assign(value)
        return plain


def _labels(layer: keras.layers.EinsumDense) -> list[str]:
    """The letters of an equation: of inputs, kernel and output, without the dots for further axes."""
    left, output = layer.equation.replace("...", "").replace(" ", "").split("->")
    return [*left.split(","), output]
