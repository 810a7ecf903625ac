"""How a model is compiled and differentiated by JAX."""

import weakref
from collections.abc import Callable
from typing import Any

import keras

from keras_arch.explain.backend.activations import following

__all__ = ["following"]


def tensor(array: Any) -> Any:
    """Put an array onto the device."""
    return keras.ops.convert_to_tensor(array)


def array(tensor: Any) -> Any:
    """Take a tensor from the device, as a NumPy array."""
    return keras.ops.convert_to_numpy(tensor)


def is_tensor(thing: Any) -> bool:
    """Whether something is a tensor."""
    return keras.ops.is_tensor(thing)


def trace() -> str:
    """One and the same: JAX itself complains of tensors that leave a loop, and `compiled` says so in our words."""
    return "jit"


def belongs(thing: Any, trace: Any) -> bool:
    """Whether something is a tensor."""
    return is_tensor(thing)


def differentiate(run: Callable[[Callable], tuple[Any, Any]]) -> tuple[list, Any]:
    """See `keras_arch.explain.engine.differentiate`: zeros stand for None, and `run` is called twice.

    The gradient is taken with respect to zeros that are added to the watched tensors.
    """
    import jax

    shapes: list = []

    def measure() -> Any:
        shapes.clear()

        def watch(point: Any) -> Any:
            shapes.append(jax.ShapeDtypeStruct(point.shape, point.dtype))
            return point

        return run(watch)

    jax.eval_shape(measure)
    zeros = [jax.numpy.zeros(shape.shape, shape.dtype) for shape in shapes]

    def total(changes: list) -> tuple[Any, Any]:
        rest = iter(changes)
        scores, other = run(lambda point: point + next(rest))
        return scores.sum(), other

    (_, other), found = jax.value_and_grad(total, has_aux=True)(zeros)
    return list(found), other


def identities(model: keras.Model) -> list:
    """The model's variables, held weakly."""
    return [weakref.ref(weight) for weight in model.variables]


def replicas(model: keras.Model) -> int:
    """One."""
    return 1


def compiled(work: Callable, model: keras.Model, batched: tuple, shared: tuple, jit_compile: bool) -> Callable:
    """Compile `work(batched, shared)` with the weights as further arguments. XLA is always on."""
    import jax

    reference = weakref.ref(model)

    @jax.jit
    def traced(weights: list, batched: tuple, shared: tuple) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(reference().variables, weights, strict=True))):
            return work(batched, shared)

    def run(batched: tuple, shared: tuple) -> Any:
        try:
            return traced([weight.value for weight in reference().variables], batched, shared)
        except jax.errors.UnexpectedTracerError:
            raise ValueError(
                "layer must not run inside a loop of another layer; the chosen one does. Choose another layer; "
                "model.summary(expand_nested=True) lists them."
            ) from None

    return run
