"""Three convolutions of which the middle one is narrow, with a residual connection around them."""

from typing import Any

from keras_arch.core import check
from keras_arch.core.inner_channels import InnerChannels
from keras_arch.core.registration import register
from keras_arch.layers.convolutional.inner_filters import inner_filters
from keras_arch.layers.convolutional.residual_block import ResidualBlock

STRIDE_PLACES = ("middle", "first")


@register
class BottleneckBlock(ResidualBlock):
    """1 x 1, 3 x 3 and 1 x 1 convolutions, the middle one narrow or grouped: the block of ResNet-50 and of ResNeXt.

    "post" (v1):  y = activation(norm1(conv1(x))); y = activation(norm2(conv2(y)));
                  output = activation(shortcut(x) + norm3(conv3(y))).
    "pre" (v2):   the same convolutions, each after its normalization and activation, and nothing after the sum.
    x: (B, H, W, C), conv1: C -> w, conv2: w -> v, conv3: v -> F.   F: `filters`, w: `width`, v: `hidden_filters`.

    ResNeXt-50 (32 x 4d) has width=128 and groups=32 at filters=256; Wide ResNet-50-2 width=128. Everything else, the
    shortcut included, is as in `keras_arch.layers.ResidualBlock`; the layers are `conv1` to `conv3`, `norm1` to
    `norm3`, `shortcut_conv`, `shortcut_norm`. A mask does not travel on.

    Args:
        filters: F, channels of the output, >= 1.
        width: w, channels inside; None for F / 4.
        groups: groups of the middle convolution, a divisor of w and v.
        stride_place: which convolution has the strides: "middle", the 3 x 3 (ResNet-B, the usual form), or "first",
            the 1 x 1 (the paper, and `keras.applications.ResNet50`).
        **kwargs: arguments of `keras_arch.layers.ResidualBlock`; `kernel_size` and `dilation_rate` are those of the
            middle convolution, `hidden_filters` is v, the channels that it makes, None for w. Then `name`, `dtype`,
            `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, H, W, C), or (B, C, H, W) for "channels_first"; H and W may be None.
        training: whether normalizations use the batch, and stochastic depth acts.

    Returns:
        (B, ceil(H / s), ceil(W / s), F), likewise.   s: `strides`.

    Raises:
        ValueError: as `ResidualBlock`; if `groups` does not divide w and v, or 4 not F where no width is given.

    Source: He et al. 2016, arXiv:1512.03385, section 4.1; groups: Xie et al. 2017, arXiv:1611.05431; the stride in the
        middle: He et al. 2019, arXiv:1812.01187, section 4.1.

    >>> block = ka.layers.BottleneckBlock(16, width=8, groups=4, strides=2)
    >>> tuple(block(np.ones((2, 6, 5, 4), "float32")).shape), tuple(block.conv2.kernel.shape)
    ((2, 3, 3, 16), (3, 3, 2, 8))
    """

    def __init__(
        self,
        filters: int,
        width: int | None = None,
        groups: int = 1,
        stride_place: str = "middle",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, **kwargs)
        if width is None and self.filters % 4:
            raise check.refuse("filters", "must be a multiple of 4 where no width is given", filters, "Pass width=.")
        self.width = self.filters // 4 if width is None else check.integer("width", width)
        self.groups = check.integer("groups", groups)
        for name, channels in (("width", self.width), ("hidden_filters", self.hidden_filters or self.width)):
            if channels % self.groups:
                raise check.refuse("groups", f"must divide the {name} {channels}", groups, "Choose a divisor of it.")
        self.stride_place = check.one_of("stride_place", stride_place, STRIDE_PLACES)

    def _convolutions(self) -> list[dict[str, int]]:
        first = self.strides if self.stride_place == "first" else 1
        middle = {"kernel_size": self.kernel_size, "dilation_rate": self.dilation_rate, "groups": self.groups}
        return [
            {"filters": self.width, "strides": first},
            {"filters": self.hidden_filters or self.width, "strides": self.strides // first, **middle},
            {"filters": self.filters},
        ]

    def inner_channels(self) -> list[InnerChannels]:
        """As of `ResidualBlock`: those that each of the first two convolutions makes. Groups go as a whole."""
        hidden = self.hidden_filters or self.width
        if self.groups == 1:
            first = self._inner_filters(1, "width", config={"hidden_filters": hidden})
            return [*first, *self._inner_filters(2, "hidden_filters"), *self._squeezed()]
        each = {"width": self.width // self.groups, "hidden_filters": hidden // self.groups}
        stages = [self._stage(1), self._stage(2)]
        inner = inner_filters(stages, self.activation, [self.conv3], "groups", number=self.groups, multiples=each)
        return [*inner, *self._squeezed()]

    def get_config(self) -> dict:
        own = {"width": self.width, "groups": self.groups, "stride_place": self.stride_place}
        return {**super().get_config(), **own}
