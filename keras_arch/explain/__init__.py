"""Explanations of any Keras model: numbers first, pictures second."""

from keras_arch.explain import metrics
from keras_arch.explain.attention.attention_maps import AttentionMaps, attention_maps
from keras_arch.explain.attention.attention_rollout import AttentionRollout
from keras_arch.explain.attention.gradient_attention_rollout import GradientAttentionRollout
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.cam.grad_cam import GradCAM
from keras_arch.explain.cam.grad_cam_plus_plus import GradCAMPlusPlus
from keras_arch.explain.cam.guided_grad_cam import GuidedGradCAM
from keras_arch.explain.cam.hi_res_cam import HiResCAM
from keras_arch.explain.cam.layer_cam import LayerCAM
from keras_arch.explain.cam.score_cam import ScoreCAM
from keras_arch.explain.evaluation import Evaluation, evaluate
from keras_arch.explain.gradient.blur_path import BlurPath
from keras_arch.explain.gradient.deconvnet import Deconvnet
from keras_arch.explain.gradient.expected_gradients import ExpectedGradients, GradientSHAP
from keras_arch.explain.gradient.guided_backprop import GuidedBackprop
from keras_arch.explain.gradient.input_x_gradient import InputXGradient
from keras_arch.explain.gradient.integrated_gradients import IntegratedGradients
from keras_arch.explain.gradient.paths import BrokenPath
from keras_arch.explain.gradient.references import References
from keras_arch.explain.gradient.saliency import Saliency
from keras_arch.explain.gradient.smooth_grad import SmoothGrad
from keras_arch.explain.gradient.var_grad import VarGrad
from keras_arch.explain.method import Method
from keras_arch.explain.perturbation.lime import LIME
from keras_arch.explain.perturbation.occlusion import Occlusion
from keras_arch.explain.perturbation.rise import RISE
from keras_arch.explain.perturbation.segments import Elements, Patches, Positions, Superpixels
from keras_arch.explain.perturbation.tabular_lime import TabularLIME
from keras_arch.explain.region_target import BoxTarget, MaskTarget
from keras_arch.explain.relevance.composite import Composite
from keras_arch.explain.relevance.lrp import LRP
from keras_arch.explain.relevance.rules import AlphaBetaRule, EpsilonRule, FlatRule, GammaRule, WSquareRule, ZBoxRule
from keras_arch.explain.shapley.kernel_shap import KernelSHAP
from keras_arch.explain.shapley.shapley_values import ShapleyValues

__all__ = [
    "LIME",
    "LRP",
    "RISE",
    "AlphaBetaRule",
    "AttentionMaps",
    "AttentionRollout",
    "Attribution",
    "BlurPath",
    "BoxTarget",
    "BrokenPath",
    "Composite",
    "Deconvnet",
    "Elements",
    "EpsilonRule",
    "Evaluation",
    "ExpectedGradients",
    "FlatRule",
    "GammaRule",
    "GradCAM",
    "GradCAMPlusPlus",
    "GradientAttentionRollout",
    "GradientSHAP",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "KernelSHAP",
    "LayerCAM",
    "MaskTarget",
    "Method",
    "Occlusion",
    "Patches",
    "Positions",
    "References",
    "Saliency",
    "ScoreCAM",
    "ShapleyValues",
    "SmoothGrad",
    "Superpixels",
    "TabularLIME",
    "VarGrad",
    "WSquareRule",
    "ZBoxRule",
    "attention_maps",
    "evaluate",
    "metrics",
]
