"""Methods that follow gradients from the target to the inputs."""
