"""Layers that tell a model where in a sequence a feature stands."""
