"""Score-CAM: feature maps of one layer, weighted by the score that the input keeps under each of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain import target
from keras_arch.explain.cam.class_activation import ClassActivationMap, check_positions, size_of_input
from keras_arch.explain.cam.resize import resize
from keras_arch.explain.method import warn_if_flat
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class ScoreCAM(ClassActivationMap):
    """One map per sample without gradients: each channel counts as the score of the input that it lets through.

    map = ReLU(Σ_c α_c A_c),   α_c = F(x ⊙ H_c),   H_c = (U_c - min U_c) / (max U_c - min U_c)
    A: the layer's output, c: its channel.   U: A spread over the input's size.   x: the input.   F: the score.

    A channel that is equal everywhere masks nothing and counts zero. Inputs with as many axes of positions as the
    layer are masked, others stay as they are. One forward pass per sample and channel, `batch_size` at a time.

    Args:
        layer: name, path or object of a layer whose output is (N, positions…, C); "encoder:1" is the second call of a
            shared layer, and over all calls of a layer the maps are summed. None: the last one, in the order in which
            the model runs, whose output has as many axes as the input, more than one position, and is not the model's
            own output.
        relu: whether evidence against the target is cut off, as in the paper.
        interpolation: "linear" or "nearest", how masks and map are spread over the input's size; None keeps the map at
            the layer's size, and the masks are linear.
        data_format: "channels_last" or "channels_first", where layer and inputs have their channels; None asks the
            layer, then `keras.config.image_data_format()`.
        weights: "score", α as above, as in the authors' code; "softmax", the softmax of these over the channels, as
            algorithm 1 of the paper prints it (there less the score of a baseline, which cancels). The paper's scores
            are probabilities: pass output="probabilities" for a model that returns logits. The softmax of numbers
            between 0 and 1 is nearly uniform.
        channels: how many channels are tried per sample, those whose map varies most; None: all.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, if the layer is unknown or has no positions, or no
            input of floats can be masked by it.
    Source: Wang et al. 2020, arXiv:1910.01279; `channels`: Faster-ScoreCAM of tf-keras-vis.

    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, name="features"),
    ...                           keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")])
    >>> ScoreCAM().explain(model, np.ones((1, 8, 8, 1)) * np.arange(8)[:, None]).values.shape
    (1, 8, 8, 1)
    """

    weights: str = "score"
    channels: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check.one_of("weights", self.weights, ("score", "softmax"))
        if self.channels is not None:
            check.integer("channels", self.channels)

    def raw_maps(
        self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...], path: str, channels_first: bool
    ) -> tuple[np.ndarray, Any, np.ndarray]:
        """See `ClassActivationMap.raw_maps`."""
        outside = probe.at()
        predictions, scores = outside.predict(inputs, selections)
        features = self._features(probe.values(inputs), path, channels_first)  # (N, positions…, C)
        features = self._chosen(features)
        axes = features.ndim - 2
        masked = [leaf.ndim == axes + 2 and leaf.dtype.kind == "f" for leaf in keras.tree.flatten(inputs)]
        if not any(masked):
            shapes = [f"{leaf.dtype}{leaf.shape}" for leaf in keras.tree.flatten(inputs)]
            raise ValueError(
                f"x must have an input of floats with {axes} axes of positions beside batch and channels, to be masked "
                f"by {path!r}; received {', '.join(shapes)}. Choose a layer with the positions of an input; for token "
                "ids use GradCAM(layer=...)."
            )
        size = size_of_input(inputs, axes, channels_first)

        def masks(rows: np.ndarray, versions: np.ndarray) -> tuple[np.ndarray]:
            return (self._masks(features[rows, ..., versions], size, channels_first),)

        settled = target.settle(selections, predictions)
        change = Masking(tuple(masked))
        found = outside.variants(inputs, settled, change, features.shape[-1], masks)  # (N, channels)
        varies = np.ptp(features.reshape(len(features), -1, features.shape[-1]), axis=1) > 0
        alpha = _softmax(found, varies) if self.weights == "softmax" else np.where(varies, found, 0)
        warn_if_flat(alpha, f"layer {path!r}")
        maps = np.einsum("n...c,nc->n...", features, alpha)
        return maps.astype("float32"), predictions, scores

    def _features(self, values: Any, path: str, channels_first: bool) -> np.ndarray:
        """(N, positions…, C), the channels of several calls side by side."""
        calls = values if isinstance(values, list) else [values]
        for call in calls:
            check_positions(call, path)
        calls = [np.moveaxis(call, 1, -1) if channels_first else call for call in calls]
        if len({call.shape[:-1] for call in calls}) > 1:
            raise ValueError(
                f"layer must return one shape at all of its {len(calls)} calls to be summed over them; {path!r} "
                f"returns {[call.shape for call in calls]}. Pick one call with a number after its name, such as "
                "layer='encoder:0'."
            )
        return np.concatenate(calls, axis=-1)

    def _chosen(self, features: np.ndarray) -> np.ndarray:
        """The channels that are tried, for each sample."""
        if self.channels is None or self.channels >= features.shape[-1]:
            return features
        spread = features.reshape(len(features), -1, features.shape[-1]).std(axis=1)  # (N, C)
        order = np.argsort(-spread, axis=1, kind="stable")[:, : self.channels]
        return np.take_along_axis(features, order.reshape(len(order), *(1,) * (features.ndim - 2), -1), axis=-1)

    def _masks(self, maps: np.ndarray, size: tuple[int, ...], channels_first: bool) -> np.ndarray:
        """(P, positions…) → (P, *size, 1) from 0 to 1, the channel axis where the inputs have it."""
        spread = resize(maps, size, self.interpolation or "linear")
        axes = tuple(range(1, spread.ndim))
        low, width = spread.min(axes, keepdims=True), np.ptp(spread, axis=axes, keepdims=True)
        mask = (spread - low) / np.where(width > 0, width, 1)
        return np.expand_dims(mask, 1 if channels_first else -1)


@dataclass(frozen=True)
class Masking:
    """Change of `Probe.variants`: inputs times a mask.

    Args:
        masked: for each input whether it is masked.
    """

    masked: tuple[bool, ...]

    def __call__(self, inputs: Any, mask: Any) -> Any:
        """The inputs under the mask, which spreads over their channels."""
        leaves = keras.tree.flatten(inputs)
        changed = [leaf * mask if wanted else leaf for leaf, wanted in zip(leaves, self.masked, strict=True)]
        return keras.tree.pack_sequence_as(inputs, changed) if keras.tree.is_nested(inputs) else changed[0]


def _softmax(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Over the last axis, among those that count."""
    highest = np.max(scores, axis=-1, keepdims=True, where=counts, initial=-np.inf)
    weights = np.where(counts, np.exp(scores - np.where(np.isfinite(highest), highest, 0)), 0)
    return weights / np.maximum(weights.sum(-1, keepdims=True), np.finfo("float32").tiny)
