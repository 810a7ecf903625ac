"""Normalizations of weights and of activations."""
