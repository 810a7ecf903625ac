"""What attention layers look at: their weights, and how they add up over the layers of a model."""
