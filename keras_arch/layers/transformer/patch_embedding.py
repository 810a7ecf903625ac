"""Images cut into patches, each projected to a token."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register


@register
class PatchEmbedding(keras.layers.Layer):
    """Cut images into patches and project each to a token, with a learned class token before them if wanted.

    token[b, r * columns + c] = flatten(image[b, r s : r s + p, c s : c s + p]) W + bias.
    B: batch, h x w: image, C: channels, p: patch size, s: stride, r: row, c: column, W: (p p C, D), D: `embed_dim`.

    The projection is a `keras.layers.Conv2D`, held as `projection`: its kernel (p, p, C, D) is that of a vision
    transformer's file. The learned tokens come first: the class token, then the registers, then the patches row by row.
    A position encoding is not added here.

    Args:
        patch_size: p, pixels, an int or (height, width).
        embed_dim: D, features of a token, >= 1.
        strides: s, pixels from patch to patch, an int or (height, width); None for `patch_size`. Less overlaps.
        class_token: whether a learned token stands first.
        num_register_tokens: learned tokens that stand between the class token and the patches (arXiv:2309.16588).
        use_bias: whether the projection has a bias.
        kernel_initializer: of the projection.
        bias_initializer: of the projection.
        token_initializer: of the learned tokens. A constant would make all registers stay equal.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, h, w, C); h and w may be None, and differ from call to call.

    Returns:
        (B, n, D), n = learned tokens + rows * columns; see `grid`.

    Raises:
        ValueError: for an argument out of range, an input of another rank, or an image that the patches do not cover
            exactly. (A size that is unknown when the graph is made can't be checked: what exceeds the last whole patch
            is then left out.)

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1.

    >>> layer = ka.layers.PatchEmbedding(patch_size=4, embed_dim=6, class_token=True)
    >>> tuple(layer(np.zeros((2, 8, 12, 3))).shape), layer.grid(8, 12)
    ((2, 7, 6), (2, 3))
    """

    def __init__(
        self,
        patch_size: int | tuple[int, int],
        embed_dim: int,
        strides: int | tuple[int, int] | None = None,
        class_token: bool = False,
        num_register_tokens: int = 0,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        token_initializer: Any = "truncated_normal",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.patch_size = _pair("patch_size", patch_size)
        self.embed_dim = check.integer("embed_dim", embed_dim)
        self.strides = self.patch_size if strides is None else _pair("strides", strides)
        if any(step > size for step, size in zip(self.strides, self.patch_size, strict=True)):
            advice = f"Use at most {self.patch_size}."
            raise check.refuse("strides", "must not skip pixels between patches", self.strides, advice)
        self.class_token = bool(class_token)
        self.num_register_tokens = check.integer("num_register_tokens", num_register_tokens, minimum=0)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.token_initializer = keras.initializers.get(token_initializer)

    @property
    def num_prefix_tokens(self) -> int:
        """How many learned tokens stand before the patches."""
        return int(self.class_token) + self.num_register_tokens

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches of an image.

        Args:
            height: h, pixels.
            width: w, pixels.
        Returns:
            (rows, columns): a patch stands at `num_prefix_tokens + row * columns + column`.
        Raises:
            ValueError: if the patches do not cover the image exactly.
        """
        sizes = []
        for name, size, patch, step in zip(
            ("height", "width"), (height, width), self.patch_size, self.strides, strict=True
        ):
            if size < patch or (size - patch) % step:
                nearest = max(0, round((size - patch) / step)) * step + patch
                rule = f"must be {patch} and a multiple of {step} more, so that the patches cover it"
                raise check.refuse(
                    name, rule, size, f"Crop, pad or resize the images, for example to {name}={nearest}."
                )
            sizes.append((size - patch) // step + 1)
        return sizes[0], sizes[1]

    def build(self, input_shape: tuple) -> None:
        if len(input_shape) != 4 or input_shape[-1] is None:
            advice = "Pass (batch, height, width, channels)."
            raise check.refuse("inputs", "must be images with a known number of channels", tuple(input_shape), advice)
        self._patches(tuple(input_shape))
        self.projection = keras.layers.Conv2D(
            self.embed_dim,
            self.patch_size,
            strides=self.strides,
            data_format="channels_last",
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            dtype=self.dtype_policy,
            name="projection",
        )
        self.projection.build(input_shape)
        if self.class_token:
            self.class_embedding = self._tokens("class_token", 1)
        if self.num_register_tokens:
            self.register_embedding = self._tokens("register_tokens", self.num_register_tokens)

    def call(self, inputs: Any) -> Any:
        self._patches(tuple(inputs.shape))
        patches = self.projection(inputs)  # (B, rows, columns, D)
        batch = ops.shape(patches)[0]
        tokens = ops.reshape(patches, (batch, -1, self.embed_dim))  # (B, rows * columns, D)
        if not self.num_prefix_tokens:
            return tokens
        learned = [self.class_embedding] if self.class_token else []
        learned += [self.register_embedding] if self.num_register_tokens else []
        learned = [ops.broadcast_to(one, (batch, *one.shape[1:])) for one in learned]
        return ops.concatenate([*learned, tokens], axis=1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        patches = self._patches(tuple(input_shape))
        tokens = None if patches is None else self.num_prefix_tokens + patches
        return (input_shape[0], tokens, self.embed_dim)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "embed_dim": self.embed_dim,
            "strides": self.strides,
            "class_token": self.class_token,
            "num_register_tokens": self.num_register_tokens,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "token_initializer": keras.initializers.serialize(self.token_initializer),
        }

    def _patches(self, shape: tuple) -> int | None:
        """Number of patches, None if a size is unknown; a known size is checked in any case."""
        _, height, width, _ = shape
        rows = None if height is None else self.grid(height, self.patch_size[1])[0]
        columns = None if width is None else self.grid(self.patch_size[0], width)[1]
        return None if rows is None or columns is None else rows * columns

    def _tokens(self, name: str, count: int) -> Any:
        initializer = self.token_initializer
        if isinstance(initializer, keras.initializers.Initializer):
            initializer = initializer.clone()  # one unseeded object gives weights of one shape the same values
        return self.add_weight(name=name, shape=(1, count, self.embed_dim), initializer=initializer)


def _pair(argument: str, value: Any) -> tuple[int, int]:
    """(height, width) from an int or a pair of ints, each >= 1."""
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2:
        raise check.refuse(argument, "must be an integer or (height, width)", value, "Pass for example 16.")
    return check.integer(argument, pair[0]), check.integer(argument, pair[1])
