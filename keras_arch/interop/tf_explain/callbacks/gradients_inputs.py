"""`GradientsInputs` at the end of every epoch."""

from typing import ClassVar

from keras_arch.interop.tf_explain.callbacks.vanilla_gradients import VanillaGradientsCallback
from keras_arch.interop.tf_explain.core.gradients_inputs import GradientsInputs


class GradientsInputsCallback(VanillaGradientsCallback):
    """tf-explain's `GradientsInputsCallback`: writes the picture for TensorBoard at the end of every epoch.

    Args:
        validation_data: (x, y) with images x (N, h, w, C); y is not read.
        class_index: the class.
        output_dir: a folder named after the time is made in it; None for "./logs/gradients_inputs".

    >>> GradientsInputsCallback((np.zeros((1, 4, 4, 3)), None), class_index=0).tag
    'GradientsInputs'
    """

    explainer: ClassVar[GradientsInputs] = GradientsInputs()
    default_output_subdir: ClassVar[str] = "gradients_inputs"
