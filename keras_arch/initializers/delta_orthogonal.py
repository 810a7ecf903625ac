"""An orthogonal matrix at the centre of a convolution kernel."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.initializer import rounded
from keras_arch.core.registration import register
from keras_arch.ops.convolution_kernel import at_centre, kernel_shape


@register
class DeltaOrthogonal(keras.initializers.Orthogonal):
    """Convolution kernel that is zero but for an orthogonal matrix at its spatial centre.

    K[centre] = gain · Q with Q Qᵀ = I, K[elsewhere] = 0;  centre = (size − 1) // 2 along each spatial axis.

    Q: (C, F), uniform among the matrices with orthonormal rows; C: input channels, F: filters, C <= F. Each pixel is
    mapped by Q alone, so with gain 1 the convolution keeps the norm of its input, at any depth. For an even size the
    centre is the left of the two middle taps: the one that `padding="same"` puts on the pixel itself, so nothing is
    shifted. Transposed convolutions lay out their kernels as (.., F, C) and are not meant here.

    Args:
        gain: factor of Q. 1 keeps norms in a linear network, sqrt(2) fits ReLU.
        seed: int, `keras.random.SeedGenerator` or None, as in Keras's initializers: an int (or None, drawn once)
            gives the same values at each call, a SeedGenerator new ones.
    Raises:
        ValueError: if gain or seed is of the wrong kind; at the call, if the shape does not have rank 3 to 5 or has
            more input channels than filters, for which no norm-preserving kernel exists.
    Source: Xiao et al. 2018, arXiv:1806.05393, section 3.4. Q is drawn in float32 (float64 for float64 kernels) and
    cast, so half precision kernels are the rounded float32 ones.

    >>> kernel = keras.ops.convert_to_numpy(DeltaOrthogonal(seed=0)((3, 3, 2, 4)))
    >>> np.allclose(kernel[1, 1] @ kernel[1, 1].T, np.eye(2), atol=1e-6), int(np.count_nonzero(kernel))
    (True, 8)
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        gain = check.real(
            "gain", gain, minimum=float("-inf"), maximum=float("inf"), open_minimum=True, open_maximum=True
        )
        super().__init__(gain=gain, seed=seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draw a kernel.

        Args:
            shape: (K1, .., Kd, C, F) with d = 1, 2 or 3.
            dtype: a float dtype; None is Keras's floatx.
        Returns:
            Tensor of that shape and dtype.
        """
        *spatial, channels, filters = self._checked(shape)
        return at_centre(rounded(super().__call__, (channels, filters), dtype), spatial)

    def _checked(self, shape: Sequence[int]) -> tuple[int, ...]:
        shape = kernel_shape(shape, 'Use "orthogonal" for matrices.')
        if shape[-2] > shape[-1]:
            raise check.refuse(
                "shape",
                "must not have more input channels than filters, which no kernel maps without loss",
                shape,
                f'Use {shape[-2]} or more filters, or "orthogonal".',
            )
        return shape
