"""Figures of a run as files: what was measured, and on what it was measured."""

from keras_arch.report.environment import environment
from keras_arch.report.json_file import write_json

__all__ = ["environment", "write_json"]
