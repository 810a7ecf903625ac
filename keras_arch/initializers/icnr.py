"""Kernels of sub-pixel convolutions that start free of checkerboards."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.initializer import cloned, rounded
from keras_arch.core.registration import register
from keras_arch.initializers.get import get
from keras_arch.ops.convolution_kernel import kernel_shape

ORDERS = ("DCR", "CRD")


@register
class ICNR(keras.initializers.Initializer):
    """Kernel of a sub-pixel convolution that begins as a convolution followed by nearest-neighbour upsampling.

    K[.., c, s · F + f] = K0[.., c, f]   with order "DCR",
    K[.., c, f · r^d + s] = K0[.., c, f]   with order "CRD", for each sub-pixel s in [0, r^d), K0 drawn by another
    initializer.

    r: scale, d: spatial axes, F: channels after the shuffle, C: input channels; the layer has F · r^d filters. All
    sub-pixels of a pixel start equal, so `keras.ops.depth_to_space(conv(x), r)` equals
    `keras.layers.UpSampling2D(r)(conv0(x))` and shows no checkerboard.

    Shuffles differ in where they look for the sub-pixels. "DCR", sub-pixels in steps of F channels, is that of
    `tf.nn.depth_to_space`, and of `keras.ops.depth_to_space` with channels last on every backend, and on TensorFlow
    with channels first. "CRD", sub-pixels next to each other, is that of PyTorch's pixel shuffle, and of
    `keras.ops.depth_to_space` with channels first on JAX and PyTorch (Keras 3.15).

    Args:
        scale: r, factor of each spatial axis, >= 2.
        initializer: draws K0, of the shape (.., C, F): an object or a string id that `keras_arch.initializers.get`
            takes. It sees F filters, so its fan-out is that of the upsampled image.
        order: "DCR" or "CRD", order of the channels, named as the modes of ONNX's DepthToSpace.
    Raises:
        ValueError: for a scale below 2, no initializer or an unknown order; at the call, if the shape does not have
            rank 3 to 5 or its filters do not divide by r^d.
    Source: Aitken et al. 2017, arXiv:1707.02937, section 3. K0 is drawn in float32 and cast.

    >>> kernel = ops.convert_to_numpy(ICNR(2, keras.initializers.HeNormal(seed=0))((3, 3, 1, 8)))
    >>> bool((kernel[..., :2] == kernel[..., 2:4]).all()), len(np.unique(kernel)) == 3 * 3 * 2
    (True, True)
    """

    def __init__(self, scale: int = 2, initializer: Any = "glorot_uniform", order: str = "DCR") -> None:
        self.scale = check.integer("scale", scale, minimum=2)
        self.initializer = cloned(get(initializer))
        self.order = check.one_of("order", order, ORDERS)
        if not callable(self.initializer):
            raise check.refuse("initializer", "must draw weights", initializer, 'Pass for example "he_normal".')

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draw a kernel.

        Args:
            shape: (K1, .., Kd, C, F · r^d) with d = 1, 2 or 3.
            dtype: a float dtype; None is Keras's floatx.
        Returns:
            Tensor of that shape and dtype.
        """
        *front, filters = kernel_shape(shape, "Give it to a convolution.")
        copies = self.scale ** (len(front) - 1)
        if filters % copies:
            raise check.refuse(
                "shape",
                f"must have filters divisible by {copies}, scale {self.scale} along each of {len(front) - 1} axes",
                shape,
                f"Use {filters + -filters % copies} filters.",
            )
        kernel = rounded(self.initializer, (*front, filters // copies), dtype)
        if self.order == "CRD":
            return ops.repeat(kernel, copies, axis=-1)  # (K1, .., Kd, C, F r^d)
        return ops.tile(kernel, (1,) * len(front) + (copies,))  # (K1, .., Kd, C, r^d F)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        initializer = keras.initializers.serialize(self.initializer)
        return {"scale": self.scale, "initializer": initializer, "order": self.order}
