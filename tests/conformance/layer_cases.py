"""What the battery calls each public layer with: name -> cases, each the arguments of check_layer or check_cell.

Give arguments that differ from the defaults, sizes that differ from one another, and enough steps for what the layer
computes to be wrong in half precision if it is computed there. Give a seed to what drops: with the PyTorch backend
Keras draws unseeded dropout from PyTorch's global generator.
"""

import keras

import keras_arch

LAYERS = {
    "ALiBiBias": [
        {
            "init_kwargs": {"num_heads": 3, "causal": False},
            "input_shape": {"query": (2, 5, 4), "key": (2, 7, 4)},
            "mask": None,
        },
    ],
    "AttentionPooling": [
        {
            "init_kwargs": {
                "num_heads": 2,
                "key_dim": 3,
                "num_queries": 3,
                "dropout": 0.2,
                "query_initializer": "random_normal",
                "seed": 3,
            },
            "input_shape": (2, 7, 4),
            "expect": {"output_shape": (2, 3, 4), "trainable_weights": 9},
        },
    ],
    "AttentionRNN": [
        {
            "init_kwargs": lambda: {
                "cell": keras_arch.layers.AttentionCell(
                    keras.layers.LSTMCell(3, dropout=0.2, seed=3),
                    units=5,
                    score="normed_bahdanau",
                    key_units=2,
                    kernel_initializer="he_normal",
                ),
                "return_sequences": True,
                "return_state": True,
            },
            "input_shape": {"sequences": (2, 5, 4), "memory": (2, 6, 7)},
            "expect": {"trainable_weights": 9, "non_trainable_weights": 0},
        },
        {
            "init_kwargs": lambda: {
                "cell": keras_arch.layers.AttentionCell(
                    keras.layers.StackedRNNCells([keras.layers.GRUCell(3), keras.layers.LSTMCell(4)]),
                    units=2,
                    score="scaled_luong",
                    attention_activation=None,
                    input_feeding=False,
                ),
                "return_sequences": True,
                "return_attention_scores": True,
                "go_backwards": True,
                "unroll": True,
            },
            "input_shape": {"sequences": (2, 4, 3), "memory": (2, 5, 3)},
            "dynamic_axes": (0,),
        },
    ],
    "AxialRotaryEmbedding2D": [
        {
            "init_kwargs": {
                "grid_size": (3, 5),
                "max_wavelength": 50.0,
                "rotary_dim": 8,
                "interleaved": True,
                "num_prefix_tokens": 1,
            },
            "input_shape": (2, 16, 2, 10),
            "dynamic_axes": (0,),
        },
    ],
    "BottleneckBlock": [  # not grouped: TensorFlow compiles a grouped convolution by XLA at each eager call on a CPU
        {
            "init_kwargs": {
                "filters": 8,
                "width": 4,
                "hidden_filters": 6,
                "strides": 2,
                "stride_place": "first",
                "norm_placement": "pre",
                "activation": "tanh",
            },
            "input_shape": (2, 6, 5, 3),
            "expect": {"output_shape": (2, 3, 3, 8), "trainable_weights": 10, "non_trainable_weights": 6},
        },
    ],
    "ConvNeXtBlock": [
        {
            "init_kwargs": {
                "kernel_size": 3,
                "expansion": 2,
                "activation": "silu",
                "layer_scale": 0.5,
                "stochastic_depth": 0.2,
                "global_response": True,
                "epsilon": 1e-3,
                "kernel_initializer": "he_normal",
                "kernel_regularizer": "l2",
                "seed": 3,
            },
            "input_shape": (2, 6, 5, 4),
            "expect": {"trainable_weights": 11, "losses": 3},
        },
    ],
    "FourierFeatures": [
        {
            "init_kwargs": {"num_frequencies": 4, "scale": 3.0, "learn_frequencies": True, "seed": 5},
            "input_shape": (2, 5, 3),
            "skip": {"low_precision": "it rounds the weights, and the layer keeps its frequencies in float32"},
        },
        {
            "init_kwargs": {"num_frequencies": 4, "seed": 5},
            "input_shape": (2, 3),
            "expect": {"trainable_weights": 0, "non_trainable_weights": 1},
        },
    ],
    "GatedFeedForward": [
        {
            "init_kwargs": {
                "intermediate_dim": 6,
                "activation": "gelu",
                "dropout": 0.2,
                "use_bias": True,
                "output_dim": 5,
                "seed": 3,
            },
            "input_shape": (2, 5, 4),
            "expect": {"output_shape": (2, 5, 5), "trainable_weights": 6},
        },
    ],
    "GlobalResponseNormalization": [
        {"init_kwargs": {"epsilon": 1e-3}, "input_shape": (2, 6, 5, 4), "expect": {"trainable_weights": 2}},
    ],
    "InvertedResidualBlock": [
        {
            "init_kwargs": lambda: {
                "filters": 4,
                "expand_ratio": 2.5,
                "kernel_size": 5,
                "dilation_rate": 2,
                "activation": "silu",
                "normalization": keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-2),
                "squeeze_excite": keras_arch.layers.SqueezeExcite(0.5, gate="hard_sigmoid"),
                "stochastic_depth": 0.2,
                "seed": 3,
            },
            "input_shape": (2, 6, 5, 4),
            "expect": {"trainable_weights": 13, "non_trainable_weights": 6},
        },
    ],
    "LRU": [
        {
            "init_kwargs": {
                "units": 5,
                "state_dim": 4,
                "min_radius": 0.3,
                "max_radius": 0.95,
                "max_phase": 1.0,
                "kernel_initializer": "glorot_uniform",
                "kernel_regularizer": "l2",
                "seed": 3,
                "return_sequences": True,
                "go_backwards": True,
            },
            "input_shape": (2, 9, 4),
            "expect": {"output_shape": (2, 9, 5), "trainable_weights": 6},
            "skip": {
                "mask_equals_slicing": "go_backwards: what stands for padding comes first",
                "litert": "LiteRT has no complex numbers",
                "low_precision": "it rounds the weights, and the layer keeps its transition in float32",
            },
        },
        {
            "init_kwargs": {"units": 4, "seed": 3, "use_feedthrough": False},
            "input_shape": (2, 7, 4),
            "skip": {
                "litert": "LiteRT has no complex numbers",
                "low_precision": "it rounds the weights, and the layer keeps its transition in float32",
            },
        },
    ],
    "LayerScale": [
        {
            "init_kwargs": {"initial_value": 0.3, "gamma_regularizer": "l1", "gamma_constraint": "non_neg"},
            "input_shape": (2, 5, 4),
            "expect": {"losses": 1},
        },
    ],
    "LearnedPositionEmbedding": [
        {
            "init_kwargs": {
                "max_length": 6,
                "interpolation": "cubic",
                "embeddings_initializer": "glorot_uniform",
                "embeddings_regularizer": "l2",
                "embeddings_constraint": "unit_norm",
            },
            "input_shape": (2, 8, 4),
            "skip": {"mask_equals_slicing": "a sequence beyond the table stretches it, padding included"},
        },
        {"init_kwargs": {"max_length": (3, 5)}, "input_shape": (2, 4, 5, 4), "mask": None},
    ],
    "LinearAttention": [
        {
            "init_kwargs": {"num_heads": 2, "key_dim": 3, "value_dim": 4, "feature_map": "softplus"},
            "input_shape": {"query": (2, 5, 4), "value": (2, 6, 4)},
        },
        {
            "init_kwargs": {"num_heads": 2, "key_dim": 3, "use_bias": False},
            "input_shape": {"query": (2, 140, 4), "value": (2, 140, 4)},
            "call_kwargs": {"use_causal_mask": True},
        },
    ],
    "MinGRU": [
        {
            "init_kwargs": {
                "units": 3,
                "activation": "tanh",
                "kernel_initializer": "he_normal",
                "bias_initializer": "ones",
                "gate_bias_initializer": "random_normal",
                "kernel_regularizer": "l2",
                "bias_regularizer": "l2",
                "kernel_constraint": "max_norm",
                "bias_constraint": "max_norm",
                "return_sequences": True,
                "go_backwards": True,
            },
            "input_shape": (2, 9, 4),
            "expect": {"output_shape": (2, 9, 3), "trainable_weights": 4},
            "skip": {"mask_equals_slicing": "go_backwards: what stands for padding comes first"},
        },
        {"init_kwargs": {"units": 3, "use_bias": False}, "input_shape": (2, 7, 4)},
    ],
    "MinLSTM": [
        {
            "init_kwargs": {
                "units": 3,
                "activation": "tanh",
                "kernel_initializer": "he_normal",
                "bias_initializer": "ones",
                "gate_bias_initializer": "random_normal",
                "kernel_regularizer": "l2",
                "bias_regularizer": "l2",
                "kernel_constraint": "max_norm",
                "bias_constraint": "max_norm",
                "return_sequences": True,
                "go_backwards": True,
            },
            "input_shape": (2, 9, 4),
            "expect": {"output_shape": (2, 9, 3), "trainable_weights": 6},
            "skip": {"mask_equals_slicing": "go_backwards: what stands for padding comes first"},
        },
    ],
    "MultiHeadAttention": [
        {
            "init_kwargs": {"num_heads": 2, "key_dim": 3, "dropout": 0.2, "use_bias": False, "seed": 3},
            "input_shape": {"query": (2, 5, 4), "value": (2, 6, 4)},
        },
        {
            "init_kwargs": lambda: {
                "num_heads": 4,
                "key_dim": 6,
                "num_kv_heads": 2,
                "rotary_embedding": keras_arch.layers.RotaryEmbedding(rotary_dim=4),
                "position_bias": keras_arch.layers.RelativePositionBias(4, num_buckets=6, max_distance=5),
                "qk_norm": "rms",
                "logit_soft_cap": 4.0,
                "sinks": True,
                "implementation": "dense",
            },
            "input_shape": {"query": (2, 5, 4), "value": (2, 6, 4)},
        },
        {
            "init_kwargs": {"num_heads": 2, "key_dim": 3, "sliding_window": 3, "implementation": "banded"},
            "input_shape": {"query": (2, 9, 4), "value": (2, 9, 4)},
        },
    ],
    "PatchEmbedding": [
        {
            "init_kwargs": {
                "patch_size": (2, 3),
                "embed_dim": 5,
                "strides": (1, 3),
                "class_token": True,
                "num_register_tokens": 2,
                "token_initializer": "random_normal",
            },
            "input_shape": (2, 5, 6, 2),
            "dynamic_axes": (0, 1),
            "expect": {"output_shape": (2, 11, 5), "trainable_weights": 4},
        },
    ],
    "RelativePositionBias": [
        {
            "init_kwargs": {
                "num_heads": 3,
                "num_buckets": 8,
                "max_distance": 24,
                "bidirectional": False,
                "embeddings_initializer": "glorot_uniform",
                "embeddings_regularizer": "l2",
                "embeddings_constraint": "unit_norm",
            },
            "input_shape": {"query": (2, 5, 4), "key": (2, 7, 4)},
            "mask": None,
        },
    ],
    "RelativePositionBias2D": [
        {
            "init_kwargs": {
                "num_heads": 3,
                "window_size": (2, 3),
                "class_token": True,
                "embeddings_initializer": "glorot_uniform",
                "embeddings_regularizer": "l2",
                "embeddings_constraint": "unit_norm",
            },
            "input_shape": (2, 7, 4),
            "dynamic_axes": (0,),
            "mask": None,
        },
    ],
    "ResidualBlock": [
        {
            "init_kwargs": {
                "filters": 6,
                "strides": 2,
                "activation": "silu",
                "squeeze_excite": 0.5,
                "stochastic_depth": 0.2,
                "use_bias": True,
                "padding": "symmetric",
                "kernel_initializer": "he_normal",
                "kernel_regularizer": "l2",
                "seed": 3,
                "shortcut": "average_pool",
                "hidden_filters": 5,
            },
            "input_shape": (2, 6, 5, 4),
            "expect": {"output_shape": (2, 3, 3, 6), "trainable_weights": 16, "losses": 5},
        },
    ],
    "RotaryEmbedding": [
        {
            "init_kwargs": {
                "max_wavelength": 500.0,
                "rotary_dim": 4,
                "interleaved": True,
                "scaling": {"type": "yarn", "factor": 4.0, "original_length": 64},
            },
            "input_shape": (2, 1200, 2, 6),
        },
        {
            "init_kwargs": {"scaling": {"type": "dynamic", "factor": 2.0, "original_length": 3}},
            "input_shape": (2, 9, 4),
            "mask": None,
        },
    ],
    "SinusoidalPositionEncoding": [
        {"init_kwargs": {"max_wavelength": 500.0}, "input_shape": (2, 1200, 4)},
    ],
    "SinusoidalPositionEncoding2D": [
        {"init_kwargs": {"max_wavelength": 500.0}, "input_shape": (2, 200, 30, 4)},
    ],
    "Snake": [
        {
            "init_kwargs": {
                "initial_frequency": 7.0,
                "log_scale": False,
                "alpha_regularizer": "l2",
                "alpha_constraint": "non_neg",
            },
            "input_shape": (2, 5, 4),
            "expect": {"output_shape": (2, 5, 4), "trainable_weights": 1, "losses": 1},
        },
        {"init_kwargs": {"initial_frequency": 0.5}, "input_shape": (2, 3)},
    ],
    "SqueezeExcite": [
        {
            "init_kwargs": {
                "ratio": 0.6,
                "activation": "silu",
                "gate": "hard_sigmoid",
                "divisor": 3,
                "kernel_initializer": "glorot_uniform",
                "kernel_regularizer": "l2",
            },
            "input_shape": (2, 6, 5, 4),
            "expect": {"trainable_weights": 4, "losses": 2},
        },
        {"init_kwargs": {"width": 2, "use_bias": False}, "input_shape": (2, 5, 4)},
    ],
    "StochasticDepth": [
        {"init_kwargs": {"rate": 0.5, "seed": 3}, "input_shape": (4, 9, 3)},
    ],
    "TransformerDecoderBlock": [
        {
            "init_kwargs": lambda: {
                "num_heads": 2,
                "intermediate_dim": 6,
                "dropout": 0.1,
                "feed_forward": "swiglu",
                "norm_placement": "deepnorm",
                "num_layers": (2, 3),
                "layer_scale": 0.5,
                "stochastic_depth": 0.2,
                "num_kv_heads": 1,
                "rotary_embedding": keras_arch.layers.RotaryEmbedding(),
                "seed": 5,
            },
            "input_shape": {"inputs": (2, 5, 4), "memory": (2, 6, 3)},
        },
        {
            "init_kwargs": lambda: {
                "norm_placement": "sandwich",
                "parallel": True,
                "attention": keras_arch.layers.MultiHeadAttention(2, 3),
                "feed_forward": keras_arch.layers.GatedFeedForward(7),
            },
            "input_shape": (2, 5, 4),
        },
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
    "WeightNormalization": [
        {
            "init_kwargs": lambda: {"layer": keras.layers.Conv2D(3, 2, activation="tanh", kernel_regularizer="l2")},
            "input_shape": (2, 6, 5, 4),
            "expect": {"output_shape": (2, 5, 4, 3), "trainable_weights": 3, "losses": 1},
        },
        {
            "init_kwargs": lambda: {"layer": keras.layers.Dense(3), "axis": (0,)},
            "input_shape": (2, 5, 4),
        },
    ],
}

CELLS = {
    "CoupledGateLSTMCell": [
        {"init_kwargs": {"units": 3, "dropout": 0.2, "recurrent_dropout": 0.1, "seed": 3}, "input_shape": (2, 5, 4)},
    ],
    "EchoStateCell": [
        {
            "init_kwargs": {
                "units": 6,
                "connectivity": 0.4,
                "spectral_radius": 0.8,
                "leak_rate": 0.7,
                "bias_initializer": "random_normal",
                "seed": 3,
            },
            "input_shape": (2, 5, 4),
            "expect": {"trainable_weights": 0, "non_trainable_weights": 3},
        },
    ],
    "IndRNNCell": [
        {
            "init_kwargs": {
                "units": 4,
                "activation": "tanh",
                "recurrent_max_abs": 0.9,
                "recurrent_regularizer": "l2",
                "dropout": 0.2,
                "recurrent_dropout": 0.1,
                "seed": 3,
            },
            "input_shape": (2, 5, 4),
            "expect": {"losses": 1},
        },
    ],
    "LayerNormGRUCell": [
        {"init_kwargs": {"units": 3, "dropout": 0.2, "recurrent_dropout": 0.1, "seed": 3}, "input_shape": (2, 5, 4)},
        {"init_kwargs": {"units": 3, "reset_after": False, "use_bias": False}, "input_shape": (2, 5, 4)},
    ],
    "LayerNormLSTMCell": [
        {"init_kwargs": {"units": 3, "dropout": 0.2, "recurrent_dropout": 0.1, "seed": 3}, "input_shape": (2, 5, 4)},
    ],
    "LayerNormSimpleRNNCell": [
        {"init_kwargs": {"units": 3, "dropout": 0.2, "recurrent_dropout": 0.1, "seed": 3}, "input_shape": (2, 5, 4)},
    ],
    "NASCell": [
        {
            "init_kwargs": {
                "units": 3,
                "projection": 2,
                "use_bias": True,
                "dropout": 0.2,
                "recurrent_dropout": 0.1,
                "seed": 3,
            },
            "input_shape": (2, 5, 4),
            "unsaved_arguments": {"activation": "SimpleRNNCell's, which the cell refuses: its own are fixed"},
        },
    ],
    "PeepholeLSTMCell": [
        {
            "init_kwargs": {
                "units": 3,
                "peephole_initializer": "random_normal",
                "dropout": 0.2,
                "recurrent_dropout": 0.1,
                "seed": 3,
            },
            "input_shape": (2, 5, 4),
        },
    ],
    "ResidualCell": [
        {
            "init_kwargs": lambda: {"cell": keras.layers.LSTMCell(4, dropout=0.2, recurrent_dropout=0.1, seed=3)},
            "input_shape": (2, 5, 4),
        },
    ],
    "ZoneoutCell": [
        {
            "init_kwargs": lambda: {
                "cell": keras.layers.LSTMCell(4, dropout=0.2, recurrent_dropout=0.1, seed=3),
                "output_rate": 0.2,
                "cell_rate": 0.4,
                "seed": 5,
            },
            "input_shape": (2, 5, 4),
        },
        {
            "init_kwargs": lambda: {"cell": keras.layers.GRUCell(4), "output_rate": 0.3, "seed": 5},
            "input_shape": (2, 5, 4),
        },
    ],
}

# Cells that only run inside a layer which has a case above: cell -> that layer.
PARTS = {"AttentionCell": "AttentionRNN"}
