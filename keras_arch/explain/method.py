"""What every method of explaining shares: it is a value, and the model comes at the call."""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.core.check import refuse
from keras_arch.explain import batches as streams
from keras_arch.explain import target as targets
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.setting import Setting
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


class Method(Setting):
    """Base of the methods: a frozen value that can be printed, compared, stored, and asked to explain a model.

    A subclass is a frozen dataclass (`eq=False, repr=False`, so that these come from here) whose fields are its
    settings, and defines `attribute`.

    >>> method = ka.explain.IntegratedGradients(steps=8)
    >>> method
    IntegratedGradients(steps=8)
    >>> method == ka.explain.IntegratedGradients(steps=8), method == ka.explain.IntegratedGradients(steps=9)
    (True, False)
    """

    def explain(
        self,
        model: keras.Model,
        x: Any,
        target: Any = None,
        *,
        output: str = "model",
        batch_size: int = 32,
        verbose: bool = False,
        jit_compile: bool = False,
    ) -> Attribution:
        """Explain what `model` says about the samples `x`.

        Args:
            model: any Keras model. Its weights are read, never changed; it runs with `training=False`.
            x: samples, batch axis first: an array, tensor or nested list; or several of them in the model's own
                structure (list, tuple or dict); or a dataset of batches, as in `stream`, whose explanations are joined.
            target: what is explained. None: the predicted class, or the value itself for a head of one unit. An int;
                ints, one per sample; a tuple, one index per axis of the output; a float array of weights shaped like
                the output; a function from the outputs to (N,); a dict or list of these for several outputs.
            output: which numbers count: "model", what the model returns; "logits", those before its final softmax or
                sigmoid; "probabilities", those after it. Maps of logits and of probabilities differ.
            batch_size: samples per compiled call.
            verbose: whether long work shows a progress bar.
            jit_compile: whether XLA compiles the work. JAX always does; on a CPU TensorFlow is quicker without.
        Returns:
            An `Attribution`.
        Raises:
            ValueError: if `x`, `target`, `output` or a setting does not fit the model.
            RuntimeError: if Keras runs on a backend without gradients.

        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> ka.explain.IntegratedGradients().explain(model, [[1.0, 3.0]]).values.round(4).tolist()
        [[1.0, 3.0]]
        """
        options = {"output": output, "batch_size": batch_size, "verbose": verbose, "jit_compile": jit_compile}
        if streams.is_stream(x):
            return Attribution.concatenate(self.stream(model, x, target, **options))
        return self._explain(model, x, target, **options)

    def stream(self, model: keras.Model, x: Any, target: Any = None, **options: Any) -> Iterator[Attribution]:
        """Explain samples batch by batch, at constant memory however many there are.

        Args:
            model: as in `explain`.
            x: a `tf.data.Dataset`, `keras.utils.PyDataset`, PyTorch `DataLoader` or iterator whose elements are batches
                of inputs, or tuples that begin with them. Arrays are cut into batches of `batch_size`.
            target: as in `explain`; a list or array holds one entry per sample of the whole stream.
            **options: as in `explain`.
        Yields:
            An `Attribution` for each batch.

        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> batches = iter([np.ones((2, 2)), np.zeros((1, 2))])
        >>> [len(part) for part in ka.explain.IntegratedGradients().stream(model, batches)]
        [2, 1]
        """
        if not streams.is_stream(x):
            size = check.integer("batch_size", options.get("batch_size", 32))
            x = streams.cut(as_inputs(model, x), size)
        done = 0
        for inputs in streams.batches(x):
            inputs = as_inputs(model, inputs)
            count = len(keras.tree.flatten(inputs)[0])
            yield self._explain(model, inputs, streams.part_of_target(target, done, count), **options)
            done += count

    def _explain(
        self,
        model: keras.Model,
        x: Any,
        target: Any,
        output: str = "model",
        batch_size: int = 32,
        verbose: bool = False,
        jit_compile: bool = False,
    ) -> Attribution:
        if not isinstance(model, keras.Model):
            raise refuse("model", "must be a keras.Model", model, "Wrap a layer in keras.Sequential.")
        from keras_arch.explain.probe import Probe

        inputs = as_inputs(model, x)
        probe = Probe(model, output=output, batch_size=batch_size, verbose=verbose, jit_compile=jit_compile)
        samples = len(keras.tree.flatten(inputs)[0])
        selections = targets.select(target, probe.survey(inputs).outputs, samples)
        return Attribution(inputs=inputs, method=self, output=output, **self.attribute(probe, inputs, selections))

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """Compute the fields of the `Attribution`, except inputs and method; for subclasses to define.

        Args:
            probe: the model, seen from its inputs.
            inputs: checked arrays in the model's structure.
            selections: the checked target.
        """
        raise NotImplementedError(f"{type(self).__module__}.{type(self).__qualname__} must define attribute().")


def as_inputs(model: keras.Model, x: Any) -> Any:
    """Turn samples into arrays in the model's structure: floats as float32, token ids as they are.

    Args:
        model: a Keras model; where it declares its inputs, their number, rank and kind of dtype are checked.
        x: an array, a tensor, a nested list, or a list, tuple or dict of arrays for several inputs.
    Raises:
        ValueError: if there is no sample, the batch axis is missing, batches differ, or a value is not finite.

    >>> as_inputs(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), [[1, 2]]).dtype
    dtype('float32')
    """
    declared = getattr(model, "inputs", None) or []
    several = len(declared) > 1 or isinstance(x, dict)
    if not declared and isinstance(x, list | tuple):
        several = all(hasattr(part, "shape") and len(part.shape) > 0 for part in x) and len(x) > 0
    arrays = keras.tree.map_structure(_array, x) if several else _array(x)
    leaves = keras.tree.flatten(arrays)
    if declared and len(leaves) != len(declared):
        raise ValueError(
            f"x must hold {len(declared)} arrays, one per input of the model; received {len(leaves)}. "
            "Nest them like the model's inputs."
        )
    leaves = [_checked(leaf, spec) for leaf, spec in zip(leaves, declared or [None] * len(leaves), strict=True)]
    if len({len(leaf) for leaf in leaves}) > 1:
        raise ValueError(
            f"x must hold equally many samples for every input; received {[len(leaf) for leaf in leaves]}. "
            "Cut them to the same length."
        )
    return keras.tree.pack_sequence_as(arrays, leaves) if several else leaves[0]


def _array(part: Any) -> np.ndarray:
    try:
        return keras.ops.convert_to_numpy(part) if keras.ops.is_tensor(part) else np.asarray(part)
    except ValueError as error:
        raise ValueError(f"x must be an array of samples of one shape; it could not be made one: {error}") from None


def _checked(leaf: np.ndarray, declared: keras.KerasTensor | None) -> np.ndarray:
    if leaf.dtype.kind not in "fiub":
        raise ValueError(f"x must hold numbers; received an array of dtype {leaf.dtype}. Convert it to float32.")
    if leaf.ndim == 0 or len(leaf) == 0:
        raise ValueError(f"x must hold at least one sample; received shape {leaf.shape}. Pass x[:1] or more.")
    if declared is not None and leaf.ndim != len(declared.shape):
        raise ValueError(
            f"x must have the {len(declared.shape)} axes of the model's input {tuple(declared.shape)}, batch first; "
            f"received shape {leaf.shape}. For one sample pass x[None]."
        )
    wants_float = declared is not None and keras.backend.is_float_dtype(declared.dtype)
    if leaf.dtype.kind == "f" or wants_float:
        leaf = leaf.astype("float32", copy=False)
    if leaf.dtype.kind == "f" and not np.isfinite(leaf).all():
        raise ValueError("x must be finite; received NaN or infinity. Replace or drop these samples.")
    return leaf


def warn_if_flat(gradients: Any, where: str) -> None:
    """Warn when every gradient is zero, with the likely causes.

    Args:
        gradients: structure of arrays.
        where: what the gradients were taken at, for the message.

    >>> warn_if_flat(np.ones(2), "the inputs")
    """
    if not any(np.any(leaf) for leaf in keras.tree.flatten(gradients)):
        warnings.warn(
            f"All gradients at {where} are zero. Likely causes: the target does not depend on {where}, a saturated "
            "softmax or sigmoid (pass output='logits'), dead ReLU units, a rounding step on the way, or float16 "
            "underflow.",
            stacklevel=4,
        )
