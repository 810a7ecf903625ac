"""Building blocks that Keras lacks."""

from keras_arch.layers.attention.attention_pooling import AttentionPooling
from keras_arch.layers.attention.kv_cache import KVCache
from keras_arch.layers.attention.linear_attention import LinearAttention
from keras_arch.layers.attention.multi_head_attention import MultiHeadAttention
from keras_arch.layers.positional.alibi_bias import ALiBiBias
from keras_arch.layers.positional.axial_rotary_embedding_2d import AxialRotaryEmbedding2D
from keras_arch.layers.positional.fourier_features import FourierFeatures
from keras_arch.layers.positional.learned_position_embedding import LearnedPositionEmbedding
from keras_arch.layers.positional.relative_position_bias import RelativePositionBias
from keras_arch.layers.positional.relative_position_bias_2d import RelativePositionBias2D
from keras_arch.layers.positional.rotary_embedding import RotaryEmbedding
from keras_arch.layers.positional.sinusoidal_position_encoding import SinusoidalPositionEncoding
from keras_arch.layers.positional.sinusoidal_position_encoding_2d import SinusoidalPositionEncoding2D
from keras_arch.layers.recurrent.layer_norm_lstm_cell import LayerNormLSTMCell
from keras_arch.layers.transformer.gated_feed_forward import GatedFeedForward
from keras_arch.layers.transformer.layer_scale import LayerScale
from keras_arch.layers.transformer.patch_embedding import PatchEmbedding
from keras_arch.layers.transformer.stochastic_depth import StochasticDepth
from keras_arch.layers.transformer.transformer_decoder_block import TransformerDecoderBlock
from keras_arch.layers.transformer.transformer_encoder_block import TransformerEncoderBlock

__all__ = [
    "ALiBiBias",
    "AttentionPooling",
    "AxialRotaryEmbedding2D",
    "FourierFeatures",
    "GatedFeedForward",
    "KVCache",
    "LayerNormLSTMCell",
    "LayerScale",
    "LearnedPositionEmbedding",
    "LinearAttention",
    "MultiHeadAttention",
    "PatchEmbedding",
    "RelativePositionBias",
    "RelativePositionBias2D",
    "RotaryEmbedding",
    "SinusoidalPositionEncoding",
    "SinusoidalPositionEncoding2D",
    "StochasticDepth",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
]
