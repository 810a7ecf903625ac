"""Checks of masks: padding never reaches an output that counts."""

from typing import Any

import keras
import numpy as np

from keras_arch.testing.layer.check import Mismatch, NotApplicable, check
from keras_arch.testing.layer.compare import assert_close
from keras_arch.testing.layer.shapes import accepts
from keras_arch.testing.layer.subject import Subject


class AttachMask(keras.layers.Layer):
    """Hand a tensor on with a given mask on it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: list) -> Any:
        return keras.ops.copy(inputs[0])

    def compute_mask(self, inputs: list, mask: Any = None) -> Any:
        return inputs[1]


class ReadMask(keras.layers.Layer):
    """Keep the mask that arrives with a tensor in the attribute `seen`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.seen = None

    def call(self, inputs: Any, mask: Any = None) -> Any:
        self.seen = None if mask is None else keras.ops.convert_to_numpy(mask)
        return inputs


def masks_of(subject: Subject) -> list[np.ndarray | None]:
    """A boolean mask (B, T) for each input that takes one, True where a step counts.

    Sample b is padded on the right to T - 2 b steps, at least one. The case may give a mask of its own.
    """
    given, layer = subject.case.mask, subject.reference
    inputs = keras.tree.flatten(subject.inputs)
    if given is None:
        raise NotApplicable("the case says mask=None")
    if isinstance(subject.inputs, dict):
        names = sorted(subject.inputs)
        takes = [accepts(layer.call, f"{name}_mask") for name in names]
        if len(names) == 1 and not takes[0]:
            takes = [accepts(layer.call, "mask") or layer.supports_masking]
        if not any(takes) and layer.supports_masking:
            takes = [name == next(iter(subject.inputs)) for name in names]
    else:
        names = [None] * len(inputs)
        takes = [accepts(layer.call, "mask") or layer.supports_masking] * len(inputs)
    if not any(takes):
        raise NotApplicable("the layer takes no mask")
    masks = []
    for name, takes_one, x in zip(names, takes, inputs, strict=True):
        has_time = x.ndim >= 3 or (x.ndim == 2 and np.issubdtype(x.dtype, np.integer))
        if isinstance(given, dict):
            masks.append(given.get(name))
        elif not isinstance(given, str):
            masks.append(np.asarray(given) if takes_one else None)
        elif takes_one and has_time:
            lengths = [max(1, x.shape[1] - 2 * row) for row in range(x.shape[0])]
            masks.append(np.arange(x.shape[1]) < np.array(lengths)[:, None])  # (B, T)
        else:
            masks.append(None)
    if all(mask is None for mask in masks):
        raise NotApplicable("no input has a time axis to mask")
    return masks


def masked_call(
    subject: Subject, inputs: Any, masks: list[np.ndarray | None], *, training: bool = False
) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Pairs (output, its mask) of the reference called on inputs that carry masks."""
    flat = [keras.ops.convert_to_tensor(x) for x in keras.tree.flatten(inputs)]
    flat = [
        x if mask is None else AttachMask()([x, keras.ops.convert_to_tensor(mask)])
        for x, mask in zip(flat, masks, strict=True)
    ]
    layer = subject.reference
    with subject.unchanged(layer):
        outputs = subject.call(layer, keras.tree.pack_sequence_as(inputs, flat), training=training)
        pairs = []
        for output in keras.tree.flatten(outputs):
            reader = ReadMask(dtype=keras.backend.standardize_dtype(output.dtype))
            pairs.append((keras.ops.convert_to_numpy(reader(output)), reader.seen))
    return pairs


def valid_part(output: np.ndarray, mask: np.ndarray | None, given: np.ndarray) -> np.ndarray:
    """What counts of an output: the steps that the input's mask and its own keep, as far as it has these, else all."""
    if mask is not None and output.shape[: mask.ndim] == mask.shape:
        return output[mask & given if mask.shape == given.shape else mask]
    if output.ndim > 2 and output.shape[: given.ndim] == given.shape:
        return output[given]
    return output


@check("`self.supports_masking = True` is missing, compute_mask is wrong, or the mask is dropped.")
def mask_is_propagated(subject: Subject) -> str:
    """A layer that supports masking hands on a mask with the shape of its steps, as the case expects."""
    expect, layer = subject.case.expect, subject.reference
    if "supports_masking" in expect and layer.supports_masking != expect["supports_masking"]:
        raise Mismatch(f"supports_masking is {layer.supports_masking}, expected {expect['supports_masking']}.")
    if not layer.supports_masking:
        raise NotApplicable("supports_masking is False")
    masks = masks_of(subject)
    given = next(mask for mask in masks if mask is not None)
    shapes = []
    for output, mask in masked_call(subject, subject.inputs, masks):
        keeps_steps = output.ndim >= 3 and output.shape[: given.ndim] == given.shape
        if mask is None and keeps_steps:
            raise Mismatch(f"an output of shape {output.shape} has the steps of the input and carries no mask.")
        if mask is not None and output.shape[: mask.ndim] != mask.shape:
            raise Mismatch(f"the mask of an output of shape {output.shape} has the shape {mask.shape}.")
        shapes.append(None if mask is None else mask.shape)
    if "mask_shape" in expect and shapes[0] != tuple(expect["mask_shape"]):
        raise Mismatch(f"the first output carries a mask of shape {shapes[0]}, expected {expect['mask_shape']}.")
    return f"output masks {', '.join(str(shape) for shape in shapes)}"


@check(
    "The layer mixes steps without looking at the mask, or weighs padding by a small number instead of leaving it out.",
    tolerance=1e-6,
)
def padding_does_not_leak(subject: Subject, tolerance: float) -> str:
    """Outputs at steps that count do not change when the content of the padding changes, in training neither."""
    masks = masks_of(subject)
    given = next(mask for mask in masks if mask is not None)
    random = np.random.default_rng(4)
    flat = keras.tree.flatten(subject.inputs)
    worst = 0.0
    for training in (False, True):
        wanted = masked_call(subject, subject.inputs, masks, training=training)
        for magnitude in subject.case.padding:
            changed = []
            for x, mask in zip(flat, masks, strict=True):
                if mask is None:
                    changed.append(x)
                    continue
                other = random.permutation(x.ravel()).reshape(x.shape)
                if np.issubdtype(x.dtype, np.floating):
                    other = (magnitude * random.standard_normal(x.shape)).astype(x.dtype)
                changed.append(np.where(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x, other))
            got = masked_call(subject, keras.tree.pack_sequence_as(subject.inputs, changed), masks, training=training)
            for (a, _), (b, mask) in zip(got, wanted, strict=True):
                what = (
                    f"outputs at valid steps with padding of magnitude {magnitude:g} against other padding, {training=}"
                )
                worst = max(
                    worst, assert_close(valid_part(a, mask, given), valid_part(b, mask, given), tolerance, what)
                )
    return f"error {worst:.1g}"


@check(
    "Padded steps count in a mean, a position, a normalisation or a state although their content is ignored.",
    tolerance=1e-5,
)
def mask_equals_slicing(subject: Subject, tolerance: float) -> str:
    """A padded sample gives, at its valid steps, what the sample without its padding gives."""
    masks = masks_of(subject)
    flat = keras.tree.flatten(subject.inputs)
    for x, mask in zip(flat, masks, strict=True):
        if mask is None:
            continue
        if mask.ndim != 2 or np.any(np.diff(mask.astype(int), axis=1) > 0):
            raise NotApplicable("the mask is not padding on the right")
        if 1 not in subject.dynamic_axes(x):
            raise NotApplicable("the number of steps is fixed")
    given = next(mask for mask in masks if mask is not None)
    padded = masked_call(subject, subject.inputs, masks)
    layer, worst = subject.reference, 0.0
    for row in range(given.shape[0]):
        alone = [
            x[row : row + 1] if mask is None else x[row : row + 1, : int(mask[row].sum())]
            for x, mask in zip(flat, masks, strict=True)
        ]
        with subject.unchanged(layer):
            short = subject.compute(layer, keras.tree.pack_sequence_as(subject.inputs, alone), training=False)
        for (output, _), wanted in zip(padded, keras.tree.flatten(short), strict=True):
            got = output[row : row + 1]
            if got.ndim > 1 and got.shape != wanted.shape:
                got = got[:, : wanted.shape[1]]
            what = f"sample {row} of {int(given[row].sum())} steps padded and masked against the sample alone"
            worst = max(worst, assert_close(got, wanted, tolerance, what))
    return f"error {worst:.1g}"


@check("A mean or a softmax over no steps divides by zero.")
def empty_sample_stays_finite(subject: Subject) -> None:
    """A sample that is padding throughout gives no NaN and no infinity, which would poison the whole batch."""
    masks = [None if mask is None else mask & (np.arange(len(mask)) > 0)[:, None] for mask in masks_of(subject)]
    for output, _ in masked_call(subject, subject.inputs, masks):
        if not np.all(np.isfinite(output.astype("float64"))):
            raise Mismatch("the outputs of a batch with one fully masked sample are not finite.")


MASKING = (mask_is_propagated, padding_does_not_leak, mask_equals_slicing, empty_sample_stays_finite)
