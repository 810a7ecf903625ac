"""The one door to `tf.GradientTape`: how a model is traced, differentiated and spread over devices by TensorFlow."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_arch.explain.backend.activations import refuse_output

# Operations that only move numbers, and those whose result can be taken for a logit.
_MOVES = frozenset({"Cast", "ExpandDims", "Identity", "Reshape", "Squeeze", "Transpose"})
_LINEAR = frozenset(
    {"Add", "AddV2", "BatchMatMulV2", "BiasAdd", "Conv2D", "Conv3D", "DepthwiseConv2dNative", "Einsum", "MatMul"}
)


def tensor(array: Any) -> tf.Tensor:
    """Put an array onto the device."""
    return tf.convert_to_tensor(array)


def array(tensor: tf.Tensor) -> Any:
    """Take a tensor from the device, as a NumPy array."""
    return tensor.numpy()


def is_tensor(thing: Any) -> bool:
    """Whether something is a tensor."""
    return tf.is_tensor(thing)


def trace() -> Any:
    """What the trace that is under way is known by."""
    return tf.compat.v1.get_default_graph()


def belongs(thing: Any, trace: Any) -> bool:
    """Whether something is a tensor of this trace, and not of a loop inside it."""
    return tf.is_tensor(thing) and thing.graph is trace


def differentiate(run: Callable[[Callable], tuple[Any, Any]]) -> tuple[list, Any]:
    """Gradient of each sample's score. Samples do not mix at inference, so that of the sum has them all.

    Args:
        run: function that gets a function `watch`, passes through it the tensors to differentiate at and goes on with
            what that returns; it returns the scores (N,) and anything else.
    Returns:
        For each watched tensor, in order, its gradient, or None where nothing flows back; and anything else.
    """
    watched = []
    with tf.GradientTape(watch_accessed_variables=False) as tape:

        def watch(point: Any) -> Any:
            tape.watch(point)
            watched.append(point)
            return point

        scores, rest = run(watch)
    found = tape.gradient(scores, watched)
    return [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in found], rest


@contextlib.contextmanager
def following(model: keras.Model, output: str) -> Iterator[Callable[[Any], Any]]:
    """Give the function from an output of the model to what `output` means: itself, its logits or probabilities."""
    yield (lambda tensor: tensor) if output == "model" else (lambda tensor: _walk_back(tensor, output))


def _walk_back(tensor: Any, output: str) -> Any:
    """The tensor before a final softmax or sigmoid, or the one after it, found in the traced graph."""
    end = tensor
    while end.op.type in ("Cast", "Identity"):
        end = end.op.inputs[0]
    if end.op.type in ("Softmax", "Sigmoid"):
        return end.op.inputs[0] if output == "logits" else tensor
    deep = end
    while deep.op.type in _MOVES:
        deep = deep.op.inputs[0]
    if output == "logits" and deep.op.type in _LINEAR:
        return tensor
    raise refuse_output(output, f"an operation of type {end.op.type!r}")


def identities(model: keras.Model) -> list:
    """TensorFlow's own variables, which know no Keras layer."""
    return [weight.value for weight in model.weights]


def replicas(model: keras.Model) -> int:
    """Over how many devices the model was spread by `tf.distribute`."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy.num_replicas_in_sync if strategy is not None else 1


def compiled(work: Callable, model: keras.Model, batched: tuple, shared: tuple, jit_compile: bool) -> Callable:
    """Trace `work(batched, shared)`, whose results are batch first like all tensors in `batched`.

    With several replicas each gets an equal part of the batch.
    """
    count = replicas(model)
    if count > 1:
        return _spread(work, model.distribute_strategy, count)
    function = tf.function(work, autograph=False, jit_compile=jit_compile or None)
    function.get_concrete_function(batched, shared)
    return function


def _spread(work: Callable, strategy: tf.distribute.Strategy, count: int) -> Callable:
    @tf.function(autograph=False)
    def everywhere(batched: tuple, shared: tuple) -> Any:
        return strategy.run(work, args=(batched, shared))

    def run(batched: tuple, shared: tuple) -> Any:
        leaves = [tf.split(leaf, count) for leaf in keras.tree.flatten(batched)]
        parts = [
            strategy.experimental_distribute_values_from_function(
                lambda context, leaf=leaf: leaf[context.replica_id_in_sync_group]
            )
            for leaf in leaves
        ]
        results = everywhere(keras.tree.pack_sequence_as(batched, parts), shared)
        return keras.tree.map_structure(lambda leaf: tf.concat(strategy.experimental_local_results(leaf), 0), results)

    return run
