"""tf-explain's methods: each has `explain`, which returns a picture, and `save`."""

from keras_arch.interop.tf_explain.core.activations import ExtractActivations
from keras_arch.interop.tf_explain.core.grad_cam import GradCAM
from keras_arch.interop.tf_explain.core.gradients_inputs import GradientsInputs
from keras_arch.interop.tf_explain.core.integrated_gradients import IntegratedGradients
from keras_arch.interop.tf_explain.core.occlusion_sensitivity import OcclusionSensitivity
from keras_arch.interop.tf_explain.core.smoothgrad import SmoothGrad
from keras_arch.interop.tf_explain.core.vanilla_gradients import VanillaGradients

__all__ = [
    "ExtractActivations",
    "GradCAM",
    "GradientsInputs",
    "IntegratedGradients",
    "OcclusionSensitivity",
    "SmoothGrad",
    "VanillaGradients",
]
