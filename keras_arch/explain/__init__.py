"""Explanations of any Keras model: numbers first, pictures second."""

from keras_arch.explain import metrics
from keras_arch.explain.attention.attention_maps import AttentionMaps, attention_maps
from keras_arch.explain.attention.attention_rollout import AttentionRollout
from keras_arch.explain.attention.gradient_attention_rollout import GradientAttentionRollout
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.cam.grad_cam import GradCAM
from keras_arch.explain.evaluation import Evaluation, evaluate
from keras_arch.explain.gradient.integrated_gradients import IntegratedGradients
from keras_arch.explain.method import Method
from keras_arch.explain.perturbation.lime import LIME
from keras_arch.explain.perturbation.occlusion import Occlusion
from keras_arch.explain.perturbation.rise import RISE
from keras_arch.explain.perturbation.segments import Elements, Patches, Positions, Superpixels
from keras_arch.explain.perturbation.tabular_lime import TabularLIME
from keras_arch.explain.region_target import BoxTarget, MaskTarget
from keras_arch.explain.shapley.kernel_shap import KernelSHAP
from keras_arch.explain.shapley.shapley_values import ShapleyValues

__all__ = [
    "LIME",
    "RISE",
    "AttentionMaps",
    "AttentionRollout",
    "Attribution",
    "BoxTarget",
    "Elements",
    "Evaluation",
    "GradCAM",
    "GradientAttentionRollout",
    "IntegratedGradients",
    "KernelSHAP",
    "MaskTarget",
    "Method",
    "Occlusion",
    "Patches",
    "Positions",
    "ShapleyValues",
    "Superpixels",
    "TabularLIME",
    "attention_maps",
    "evaluate",
    "metrics",
]
