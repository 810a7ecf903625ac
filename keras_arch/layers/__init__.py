"""Building blocks that Keras lacks."""

from keras_arch.layers.activation.snake import Snake
from keras_arch.layers.attention.attention_pooling import AttentionPooling
from keras_arch.layers.attention.kv_cache import KVCache
from keras_arch.layers.attention.linear_attention import LinearAttention
from keras_arch.layers.attention.multi_head_attention import MultiHeadAttention
from keras_arch.layers.convolutional.bottleneck_block import BottleneckBlock
from keras_arch.layers.convolutional.convnext_block import ConvNeXtBlock
from keras_arch.layers.convolutional.inverted_residual_block import InvertedResidualBlock
from keras_arch.layers.convolutional.residual_block import ResidualBlock
from keras_arch.layers.convolutional.squeeze_excite import SqueezeExcite
from keras_arch.layers.normalization.global_response_normalization import GlobalResponseNormalization
from keras_arch.layers.normalization.weight_normalization import WeightNormalization
from keras_arch.layers.positional.alibi_bias import ALiBiBias
from keras_arch.layers.positional.axial_rotary_embedding_2d import AxialRotaryEmbedding2D
from keras_arch.layers.positional.fourier_features import FourierFeatures
from keras_arch.layers.positional.learned_position_embedding import LearnedPositionEmbedding
from keras_arch.layers.positional.relative_position_bias import RelativePositionBias
from keras_arch.layers.positional.relative_position_bias_2d import RelativePositionBias2D
from keras_arch.layers.positional.rotary_embedding import RotaryEmbedding
from keras_arch.layers.positional.sinusoidal_position_encoding import SinusoidalPositionEncoding
from keras_arch.layers.positional.sinusoidal_position_encoding_2d import SinusoidalPositionEncoding2D
from keras_arch.layers.recurrent.attention_cell import AttentionCell
from keras_arch.layers.recurrent.attention_rnn import AttentionRNN
from keras_arch.layers.recurrent.coupled_gate_lstm_cell import CoupledGateLSTMCell
from keras_arch.layers.recurrent.echo_state_cell import EchoStateCell
from keras_arch.layers.recurrent.ind_rnn_cell import IndRNNCell
from keras_arch.layers.recurrent.layer_norm_gru_cell import LayerNormGRUCell
from keras_arch.layers.recurrent.layer_norm_lstm_cell import LayerNormLSTMCell
from keras_arch.layers.recurrent.layer_norm_simple_rnn_cell import LayerNormSimpleRNNCell
from keras_arch.layers.recurrent.lru import LRU
from keras_arch.layers.recurrent.min_gru import MinGRU
from keras_arch.layers.recurrent.min_lstm import MinLSTM
from keras_arch.layers.recurrent.nas_cell import NASCell
from keras_arch.layers.recurrent.peephole_lstm_cell import PeepholeLSTMCell
from keras_arch.layers.recurrent.residual_cell import ResidualCell
from keras_arch.layers.recurrent.zoneout_cell import ZoneoutCell
from keras_arch.layers.transformer.gated_feed_forward import GatedFeedForward
from keras_arch.layers.transformer.layer_scale import LayerScale
from keras_arch.layers.transformer.patch_embedding import PatchEmbedding
from keras_arch.layers.transformer.stochastic_depth import StochasticDepth
from keras_arch.layers.transformer.transformer_decoder_block import TransformerDecoderBlock
from keras_arch.layers.transformer.transformer_encoder_block import TransformerEncoderBlock

__all__ = [
    "LRU",
    "ALiBiBias",
    "AttentionCell",
    "AttentionPooling",
    "AttentionRNN",
    "AxialRotaryEmbedding2D",
    "BottleneckBlock",
    "ConvNeXtBlock",
    "CoupledGateLSTMCell",
    "EchoStateCell",
    "FourierFeatures",
    "GatedFeedForward",
    "GlobalResponseNormalization",
    "IndRNNCell",
    "InvertedResidualBlock",
    "KVCache",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
    "LayerNormSimpleRNNCell",
    "LayerScale",
    "LearnedPositionEmbedding",
    "LinearAttention",
    "MinGRU",
    "MinLSTM",
    "MultiHeadAttention",
    "NASCell",
    "PatchEmbedding",
    "PeepholeLSTMCell",
    "RelativePositionBias",
    "RelativePositionBias2D",
    "ResidualBlock",
    "ResidualCell",
    "RotaryEmbedding",
    "SinusoidalPositionEncoding",
    "SinusoidalPositionEncoding2D",
    "Snake",
    "SqueezeExcite",
    "StochasticDepth",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
    "WeightNormalization",
    "ZoneoutCell",
]
