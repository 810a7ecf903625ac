"""The main job: three models on real digits; one of them pruned, quantized, exported and explained."""

from keras_arch.cli.demo.run import DemoError, run_demo

__all__ = ["DemoError", "run_demo"]
