"""The main job: three models on real digits; one of them pruned, quantized, exported and explained."""
