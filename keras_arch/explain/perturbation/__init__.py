"""Explanations without gradients: parts of the input are changed, and the score answers."""
