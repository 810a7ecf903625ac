"""Explanations of any Keras model: numbers first, pictures second."""

from keras_arch.explain import metrics
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.cam.grad_cam import GradCAM
from keras_arch.explain.evaluation import Evaluation, evaluate
from keras_arch.explain.gradient.integrated_gradients import IntegratedGradients
from keras_arch.explain.method import Method
from keras_arch.explain.region_target import BoxTarget, MaskTarget

__all__ = [
    "Attribution",
    "BoxTarget",
    "Evaluation",
    "GradCAM",
    "IntegratedGradients",
    "MaskTarget",
    "Method",
    "evaluate",
    "metrics",
]
