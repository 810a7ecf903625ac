"""Layer-sequential unit variance: kernels that a batch of data has scaled."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.tap import intercept, replaced
from keras_arch.core.walk import walk
from keras_arch.initializers.lsuv_report import LayerVariance, LSUVReport

NAN = float("nan")


def lsuv(
    model: keras.Model,
    batch: Any,
    *,
    tolerance: float = 0.01,
    max_iterations: int = 10,
    orthonormal: bool = True,
    seed: Any = None,
) -> LSUVReport:
    """Scale the kernels of a model, layer by layer, so that each layer's output has unit variance on a batch of data.

    W <- orthonormal matrix;  while |Var(y) − 1| > tolerance:  W <- W / sqrt(Var(y)).

    y: what the layer computes before its activation, bias included; the variance is over all its numbers. Layers are
    scaled in the order in which they run, each on what its scaled predecessors give it, in one forward pass at
    inference (dropout off, moving statistics of normalization used and not changed).

    Scaled is every trainable kernel of rank 2 or more: of dense, einsum and convolutional layers, at any depth of any
    kind of model, also inside attention and our blocks, and the pointwise kernel of separable convolutions. Biases,
    embeddings, norms, frozen layers and kernels with LoRA factors have no row and stay. These have a row, and stay:

    * a kernel that is all zero, such as that of the last layer of a residual branch: it was made zero on purpose;
    * a layer whose output is constant on the batch, up to rounding: no factor changes that;
    * a layer that never ran, or ran only inside a compiled loop (in the cell of `keras.layers.RNN`, in
      `TimeDistributed`), where its output is no number yet. The kernels of LSTM and GRU cells have no row at all.

    A layer that is called several times is scaled by its first call; of layers that share a kernel the first that
    runs decides, the others have a row with what follows from that. A bias whose own variance is 1 or more can't be
    scaled away: the layer says so in its row, after `max_iterations`.

    Args:
        model: any `keras.Model`; it is built if it was not.
        batch: inputs in the model's own structure, arrays or tensors: a few hundred samples of the training data,
            prepared as in training.
        tolerance: largest distance of a variance from 1, in (0, 1).
        max_iterations: how often a kernel is scaled at most, >= 1. Without a bias once is enough.
        orthonormal: whether kernels start as orthogonal matrices, as in the paper, or as they are. A kernel is taken as
            the matrix of its last axis and all others.
        seed: of the orthogonal matrices: int, `keras.random.SeedGenerator` or None.
    Returns:
        LSUVReport: for each layer its variance before and after and the number of iterations; prints as a table.
    Raises:
        ValueError: for arguments out of range, a model without trainable kernels, or an output that is not finite.
            After this and any other exception the model has the weights it had before.
    Source: Mishkin and Matas 2016, arXiv:1511.06422, algorithm 1, which does not speak of biases and of shared, frozen
    or zero kernels.

    >>> layers = [keras.layers.Dense(8, activation="relu", name=name) for name in ("first", "second")]
    >>> model = keras.Sequential([keras.Input((4,)), *layers])
    >>> report = lsuv(model, 5 * np.random.default_rng(0).normal(size=(64, 4)), seed=0)
    >>> [(row.path, round(row.after, 4), row.iterations) for row in report.layers], report.converged
    ([('first', 1.0, 1), ('second', 1.0, 1)], True)
    """
    if not isinstance(model, keras.Model):
        raise check.refuse("model", "must be a keras.Model", model, "Put the layer into keras.Sequential.")
    generator = check_options(tolerance, max_iterations, orthonormal, seed)
    first_values = keras.initializers.Orthogonal(seed=generator) if orthonormal else None
    inputs = keras.tree.map_structure(ops.convert_to_tensor, batch)
    if not model.built:
        model(inputs, training=False)
    kernels = dict(_kernels(model))
    if not kernels:
        raise check.refuse("model", "must have trainable kernels", model, "Build it, or unfreeze a layer.")
    before = _forward(model, inputs, kernels, lambda path, run: run())
    with _restored_on_exceptions([variable for _, variable in kernels.values()]):
        scaling = _Scaling(kernels, tolerance, max_iterations, first_values)
        _forward(model, inputs, {path: kernels[path] for path in before}, scaling.scale)
    rows = [
        LayerVariance(path, before[path], after, iterations, note)
        for path, (after, iterations, note) in scaling.results.items()
    ]
    rows += [LayerVariance(path, NAN, NAN, 0, "not run, or in a loop") for path in kernels if path not in before]
    return LSUVReport(tuple(rows), tolerance)


def check_options(tolerance: float, max_iterations: int, orthonormal: bool, seed: Any) -> keras.random.SeedGenerator:
    """Refuse what `lsuv` does not take, and make the generator that its matrices are drawn with.

    One generator draws all kernels: of one number, those of one shape would be equal.
    """
    check.real("tolerance", tolerance, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
    check.integer("max_iterations", max_iterations)
    if not isinstance(orthonormal, bool):
        raise check.refuse("orthonormal", "must be True or False", orthonormal, "Pass False to keep the kernels.")
    if isinstance(seed, keras.random.SeedGenerator):
        return seed
    return keras.random.SeedGenerator(None if seed is None else check.integer("seed", seed, minimum=0))


class _Scaling:
    """Scales each kernel when its layer runs for the first time.

    Args:
        kernels: path -> (layer, variable).
        tolerance: of the variance.
        max_iterations: for each kernel.
        first_values: initializer of the kernels, None to keep them.
    """

    def __init__(self, kernels: dict, tolerance: float, max_iterations: int, first_values: Any) -> None:
        self.kernels, self.tolerance, self.max_iterations = kernels, tolerance, max_iterations
        self.first_values = first_values
        self.results: dict[str, tuple[float, int, str]] = {}
        self._owners: dict[int, str] = {}

    def scale(self, path: str, run: Callable[[], float]) -> float:
        """Scale the kernel of the layer at `path`, whose output has the variance that `run` returns."""
        kernel = self.kernels[path][1]
        owner = self._owners.setdefault(id(kernel), path)
        given = _read(kernel)
        if owner != path:
            return self._leave(path, run, f"kernel of {owner}")
        if not given.any():
            return self._leave(path, run, "kernel is zero")
        if self.first_values is not None:
            _write(kernel, self.first_values(kernel.shape, dtype="float32"))
        variance, iterations = _finite(path, run()), 0
        while abs(variance - 1) > self.tolerance and iterations < self.max_iterations:
            if variance == 0:
                _write(kernel, given)
                return self._leave(path, run, "output is constant")
            _write(kernel, _read(kernel) / variance**0.5)
            variance, iterations = _finite(path, run()), iterations + 1
        reached = abs(variance - 1) <= self.tolerance
        self.results[path] = (variance, iterations, "" if reached else "unit variance not reached")
        return variance

    def _leave(self, path: str, run: Callable[[], float], note: str) -> float:
        variance = _finite(path, run())
        self.results[path] = (variance, 0, note)
        return variance


def _finite(path: str, variance: float) -> float:
    if not np.isfinite(variance):
        advice = "Scale the inputs, or look for infinite weights."
        raise check.refuse("batch", f"must give the layer {path!r} outputs of finite variance", variance, advice)
    return variance


def _kernels(model: keras.Model) -> Iterator[tuple[str, tuple[keras.Layer, keras.Variable]]]:
    """Path, layer and kernel of every layer that may be scaled; the innermost layer if several know a kernel."""
    for path, layer in walk(model):
        kernel = _kernel(layer)
        inside = [sublayer for _, sublayer in walk(layer) if kernel is not None and _kernel(sublayer) is kernel]
        if kernel is not None and not inside:
            yield path, (layer, kernel)


def _kernel(layer: keras.Layer) -> keras.Variable | None:
    kernel = getattr(layer, "pointwise_kernel" if hasattr(layer, "pointwise_kernel") else "kernel", None)
    # With LoRA factors `kernel` is a sum and no variable; a cell's output is not linear in its kernel.
    if not isinstance(kernel, keras.Variable) or hasattr(layer, "recurrent_kernel"):
        return None
    learns = kernel.trainable and layer.trainable and keras.backend.is_float_dtype(kernel.dtype)
    return kernel if learns and len(kernel.shape) >= 2 else None


def _forward(
    model: keras.Model, inputs: Any, kernels: dict, handle: Callable[[str, Callable[[], float]], float]
) -> dict[str, float]:
    """Run the model once; where a layer with a kernel runs for the first time, let `handle` run it.

    Args:
        model: the model.
        inputs: tensors.
        kernels: path -> (layer, variable).
        handle: function of a path and of a function that runs the layer and returns the variance of its output. The
            output of the last run goes on through the model.
    Returns:
        Path -> what `handle` returned, in the order in which layers ran.
    """
    found: dict[str, float] = {}

    def at(path: str, layer: keras.Layer) -> Callable[..., Any]:
        def around(original: Callable, *args, **kwargs) -> Any:
            outputs = []

            def run() -> float:
                output, linear = _run(layer, original, args, kwargs)
                outputs.append(output)
                return _variance(linear)

            if path not in found:
                try:
                    found[path] = handle(path, run)
                except _NoNumbers:
                    return outputs[-1]
                return outputs[-1]
            return original(*args, **kwargs)

        return around

    with contextlib.ExitStack() as stack:
        for path, (layer, _) in kernels.items():
            stack.enter_context(intercept(layer, at(path, layer)))
        model(inputs, training=False)
    return found


def _run(layer: keras.Layer, original: Callable, args: tuple, kwargs: dict) -> tuple[Any, Any]:
    """Output of a layer, and what it was before the layer's own activation."""
    activation = getattr(layer, "activation", None)
    if not callable(activation):
        output = original(*args, **kwargs)
        return output, output
    seen = []

    def record(values: Any) -> Any:
        seen.append(values)
        return activation(values)

    with replaced(layer, activation=record):
        output = original(*args, **kwargs)
    return output, seen[0] if seen else output


class _NoNumbers(Exception):
    """A layer's output is not a tensor of numbers: it is being traced, or it is a structure."""


def _variance(tensor: Any) -> float:
    """Variance of all numbers of a tensor in float64; 0 if they differ by no more than rounding."""
    if not hasattr(tensor, "shape"):
        raise _NoNumbers
    try:
        values = _array(tensor)
    except (NotImplementedError, TypeError, RuntimeError) as error:  # symbolic in TensorFlow, JAX, PyTorch's vmap
        raise _NoNumbers from error
    with np.errstate(all="ignore"):
        deviation = values.std()
        return 0.0 if deviation <= 1e-6 * np.abs(values).max(initial=0) else float(deviation**2)


def _array(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(ops.cast(tensor, "float32")).astype("float64")


def _read(kernel: keras.Variable) -> np.ndarray:
    with _uncast(kernel):
        return _array(kernel)


def _write(kernel: keras.Variable, values: Any) -> None:
    with _uncast(kernel):
        kernel.assign(values)


def _uncast(variable: keras.Variable) -> contextlib.AbstractContextManager:
    """Show a variable in its own dtype while a layer of mixed precision runs.

    There Keras 3.15 gives whoever reads it a copy in half precision, and assigns to that copy on PyTorch. `_autocast`,
    which says so, is private: the test of kernels under mixed precision fails when it moves.
    """
    return replaced(variable, _autocast=False)


@contextlib.contextmanager
def _restored_on_exceptions(variables: list[keras.Variable]) -> Iterator[None]:
    values = [ops.convert_to_numpy(variable) for variable in variables]
    try:
        yield
    except BaseException:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        raise
