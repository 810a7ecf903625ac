"""Shapley values: what each feature brings to the score, averaged over the coalitions of the others."""
