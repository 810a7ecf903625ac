"""Activations with weights of their own."""
