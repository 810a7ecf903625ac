"""Weights of zeros and ones: identities and Hadamard matrices."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.convolution_kernel import at_centre
from keras_arch.ops.hadamard import hadamard


@register
class ZerO(keras.initializers.Initializer):
    """Deterministic weights: an identity where a layer keeps or reduces its width, a Hadamard matrix where it widens.

    P <= Q:  W = I*, the first P inputs;
    P > Q:   W = 2^(−(m − 1) / 2) · (first Q rows and P columns of H_m),  m = ceil(log2 P).

    Q: inputs, P: outputs, W: (Q, P), H_m: Hadamard matrix of 2^m rows. Convolution kernels are W at their spatial
    centre and zero elsewhere. An identity in its place would keep a widened ReLU network at the rank of its
    narrowest part, which the Hadamard matrix avoids. If P is a power of two its rows are orthogonal, W Wᵀ = 2 I.

    All weights of a shape are equal: differences between units come from the Hadamard matrices and from training, so
    put it in every layer of a network, with "zeros" for biases, for the last layer of each residual branch and for the
    classifier.

    Args: none.
    Raises:
        ValueError: at the call, if the shape does not have rank 2 to 5.
    Source: Zhao et al. 2022, arXiv:2110.12661, algorithms 1 and 2. For an even size the centre is the tap that
    `padding="same"` puts on the pixel, (size − 1) // 2. String ids: "ZerO", "zer_o".

    >>> print(ops.convert_to_numpy(ZerO()((2, 4))).round(3))
    [[ 0.707  0.707  0.707  0.707]
     [ 0.707 -0.707  0.707 -0.707]]
    >>> ops.convert_to_numpy(ZerO()((3, 2))).tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Make a weight.

        Args:
            shape: (Q, P), or (K1, .., Kd, Q, P) with d = 1, 2 or 3.
            dtype: a float dtype; None is Keras's floatx.
        Returns:
            Tensor of that shape and dtype.
        """
        shape = tuple(shape)
        if not 2 <= len(shape) <= 5:
            rule = "must be that of a matrix or of a convolution kernel, rank 2 to 5"
            raise check.refuse("shape", rule, shape, 'Use "zeros" for biases.')
        *spatial, inputs, outputs = shape
        if outputs <= inputs:
            matrix = np.eye(inputs, outputs)
        else:
            order = (outputs - 1).bit_length()
            matrix = 2.0 ** (-(order - 1) / 2) * hadamard(inputs, outputs)
        return at_centre(ops.convert_to_tensor(matrix, dtype=keras.backend.standardize_dtype(dtype)), spatial)
