"""What the battery calls each public layer with: name -> cases, each the arguments of check_layer or check_cell.

Give arguments that differ from the defaults, sizes that differ from one another, and enough steps for what the layer
computes to be wrong in half precision if it is computed there. Give a seed to what drops: with the PyTorch backend
Keras draws unseeded dropout from PyTorch's global generator.
"""

LAYERS = {
    "MultiHeadAttention": [
        {
            "init_kwargs": {"num_heads": 2, "key_dim": 3, "dropout": 0.2, "use_bias": False, "seed": 3},
            "input_shape": {"query": (2, 5, 4), "value": (2, 6, 4)},
        },
    ],
    "SinusoidalPositionEncoding": [
        {"init_kwargs": {"max_wavelength": 500.0}, "input_shape": (2, 1200, 4)},
    ],
    "TransformerEncoderBlock": [
        {
            "init_kwargs": {
                "num_heads": 2,
                "intermediate_dim": 6,
                "dropout": 0.2,
                "attention_dropout": 0.1,
                "activation": "tanh",
                "norm_placement": "post",
                "normalization": "rms",
                "epsilon": 1e-3,
                "seed": 5,
            },
            "input_shape": (2, 5, 4),
        },
    ],
}

CELLS = {
    "LayerNormLSTMCell": [
        {"init_kwargs": {"units": 3, "dropout": 0.2, "recurrent_dropout": 0.1, "seed": 3}, "input_shape": (2, 5, 4)},
    ],
}
