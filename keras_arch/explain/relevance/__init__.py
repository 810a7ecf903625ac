"""Layer-wise relevance propagation: a score, handed back layer by layer to the input."""
