"""A small convolutional network in Keras and the same one in PyTorch, in float64 there: every bias is nonzero."""

from typing import Any

import keras
import numpy as np

L = keras.layers


def keras_net(activation: str = "relu") -> keras.Model:
    """Two convolutions, pooling and two dense layers over images (9, 7, 2); three classes, logits."""
    bias = keras.initializers.RandomNormal(stddev=0.3, seed=4)
    kernel = keras.initializers.RandomNormal(stddev=0.4, seed=5)
    options = {"bias_initializer": bias, "kernel_initializer": kernel}
    return keras.Sequential(
        [
            keras.Input((9, 7, 2)),
            L.Conv2D(4, 3, activation=activation, name="early", **options),
            L.Conv2D(5, 3, activation=activation, name="features", **options),
            L.Flatten(),
            L.Dense(12, activation=activation, **options),
            L.Dense(3, **options),
        ]
    )


def images(samples: int = 4) -> np.ndarray:
    """Images for it."""
    return np.random.default_rng(11).normal(size=(samples, 9, 7, 2)).astype("float32")


def torch_net(model: keras.Model, activation: str = "ReLU") -> Any:
    """The twin of `keras_net`, over images with channels first; `early` and `features` are its modules 1 and 3."""
    import torch

    class Turned(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.permute(0, 2, 3, 1).flatten(1)  # Keras flattens with channels last

    make = getattr(torch.nn, activation)
    weights = [torch.tensor(weight, dtype=torch.float64) for weight in model.get_weights()]
    early, features = torch.nn.Conv2d(2, 4, 3), torch.nn.Conv2d(4, 5, 3)
    hidden, head = torch.nn.Linear(75, 12), torch.nn.Linear(12, 3)
    for module, kernel, bias in zip((early, features, hidden, head), weights[::2], weights[1::2], strict=True):
        module.weight.data = kernel.permute(3, 2, 0, 1).contiguous() if kernel.ndim == 4 else kernel.T.contiguous()
        module.bias.data = bias
    return torch.nn.Sequential(early, make(), features, make(), Turned(), hidden, make(), head).eval()


def to_torch(x: np.ndarray) -> Any:
    """Images for the twin."""
    import torch

    return torch.tensor(x.transpose(0, 3, 1, 2).copy(), dtype=torch.float64)


def from_torch(values: Any) -> np.ndarray:
    """Its answers, channels last."""
    return values.detach().numpy().transpose(0, 2, 3, 1)
