"""Convolution kernels that hand channels on unchanged."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.convolution_kernel import at_centre, kernel_shape

DEPTHWISE = "depthwise"


@register
class Dirac(keras.initializers.Initializer):
    """Convolution kernel that hands on its input channels unchanged, as many as there is room for.

    K[centre, c, g · F / G + c] = 1 for c < min(C, F / G) in each group g, 0 elsewhere.

    C: input channels of a group, F: filters of all groups, G: groups; centre = (size − 1) // 2 along each spatial
    axis, the tap that `padding="same"` puts on the pixel itself. Filters beyond C are zero; channels beyond F / G are
    dropped. With C = F, stride 1 and `padding="same"` the convolution is the identity, to the bit.

    A depthwise kernel is laid out as (.., C, M) with M filters for each channel, which `groups="depthwise"` says:
    the first filter of each channel hands it on, the others are zero.

    Args:
        groups: G, as in the layer's `groups`, or "depthwise" for `DepthwiseConv1D`, `DepthwiseConv2D` and the
            `depthwise_initializer` of separable convolutions.
    Raises:
        ValueError: for other groups; at the call, if the shape does not have rank 3 to 5 or the filters do not divide
            into groups.
    Source: Zagoruyko and Komodakis 2017, arXiv:1706.00388, section 2; groups as in `torch.nn.init.dirac_`, which puts
    even sizes on the right one of the two middle taps.

    >>> ops.convert_to_numpy(Dirac()((3, 2, 2)))[1].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, groups: int | str = 1) -> None:
        if isinstance(groups, str) and groups != DEPTHWISE:
            raise check.refuse("groups", 'must be an integer >= 1 or "depthwise"', groups, "Pass for example 1.")
        self.groups = groups if groups == DEPTHWISE else check.integer("groups", groups)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Make a kernel.

        Args:
            shape: (K1, .., Kd, C, F) with d = 1, 2 or 3.
            dtype: a float dtype; None is Keras's floatx.
        Returns:
            Tensor of that shape and dtype.
        """
        *spatial, channels, filters = kernel_shape(shape, 'Use "identity" for matrices.')
        matrix = np.zeros((channels, filters))
        if self.groups == DEPTHWISE:
            matrix[:, 0] = 1
        else:
            if filters % self.groups:
                advice = f"Use a multiple of {self.groups} filters."
                raise check.refuse("shape", f"must have filters divisible by groups={self.groups}", shape, advice)
            matrix = np.tile(np.eye(channels, filters // self.groups), self.groups)  # (C, F)
        return at_centre(ops.convert_to_tensor(matrix, dtype=keras.backend.standardize_dtype(dtype)), spatial)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"groups": self.groups}
