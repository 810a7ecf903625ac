"""The layer under test, its inputs, and what several checks need of it, computed once."""

import contextlib
import copy
import dataclasses
import functools
import inspect
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_arch.core.check import refuse
from keras_arch.testing.layer.compare import equal, to_numpy, value_of, values_of


@dataclasses.dataclass(frozen=True)
class Case:
    """What the caller of `check_layer` said; see there."""

    layer_class: type
    init_kwargs: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    input_shape: Any
    input_dtype: Any = "float32"
    input_data: Any = None
    call_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mask: Any = "auto"
    padding: tuple[float, ...] = (1.0, 1e3)
    dynamic_axes: tuple[int, ...] | None = None
    unsaved_arguments: Mapping[str, str] = dataclasses.field(default_factory=dict)
    expect: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def is_shape(value: Any) -> bool:
    """Say whether a value is one shape, not a structure of shapes.

    >>> is_shape((2, 3)), is_shape([(2, 3), (2, 3)])
    (True, False)
    """
    return isinstance(value, tuple) and all(isinstance(size, int | np.integer) for size in value)


@contextlib.contextmanager
def policy_scope(policy: str | None) -> Iterator[None]:
    """Make a dtype policy the global one for a while."""
    before = keras.config.dtype_policy()
    if policy is not None:
        keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class Subject:
    """A layer class with its case.

    Args:
        case: what to test.
        directory: an existing folder for files.
        name: file name stem for what is saved.

    `shared` keeps what one check computed for the next.
    """

    def __init__(self, case: Case, directory: pathlib.Path, name: str = "layer") -> None:
        self.case = case
        self.directory = directory
        self.name = name
        self.shared = {}

    def arguments(self) -> dict[str, Any]:
        """Constructor arguments; made anew where the case gives a function for them."""
        given = self.case.init_kwargs
        return dict(given() if callable(given) else copy.copy(given))

    def make(self, dtype: str | None = None, **changes: Any) -> keras.Layer:
        """Construct the layer.

        Arguments from a function hold layers of their own (a cell), which take the policy from the global one.
        """
        with policy_scope(dtype if callable(self.case.init_kwargs) else None):
            arguments = {**self.arguments(), **changes}
            if dtype is not None:
                arguments["dtype"] = dtype
            return self.case.layer_class(**arguments)

    @functools.cached_property
    def shapes(self) -> Any:
        """Input shapes as a tuple, a list of tuples, or a dict from argument name to tuple."""
        given = self.case.input_shape
        if is_shape(given):
            return given
        if isinstance(given, Mapping):
            return {name.removesuffix("_shape"): shape for name, shape in given.items()}
        if isinstance(given, list | tuple) and all(is_shape(shape) for shape in given):
            return list(given)
        raise refuse(
            "input_shape",
            "must be a shape, a list of shapes, or a dict of shapes",
            given,
            "Pass for example (2, 5, 3).",
        )

    @functools.cached_property
    def inputs(self) -> Any:
        """Input arrays in the structure of the shapes: normal floats, integers from 0 to 3, random booleans."""
        random = np.random.default_rng(0)
        dtypes = self.case.input_dtype

        def draw(shape: tuple[int, ...], dtype: str) -> np.ndarray:
            if dtype == "bool":
                return random.random(shape) < 0.5
            if "int" in dtype:
                return random.integers(0, 4, shape).astype(dtype)
            return random.standard_normal(shape).astype(dtype)

        def dtype_at(key: Any) -> str:
            if isinstance(dtypes, Mapping):
                return dtypes[key] if key in dtypes else dtypes[f"{key}_shape"]
            return dtypes if isinstance(dtypes, str) else dtypes[key]

        given, shapes = self.case.input_data, self.shapes
        if isinstance(shapes, dict):
            given = given or {}
            return {k: np.asarray(given[k]) if k in given else draw(s, dtype_at(k)) for k, s in shapes.items()}
        if isinstance(shapes, list):
            return [np.asarray(x) for x in given] if given else [draw(s, dtype_at(i)) for i, s in enumerate(shapes)]
        return draw(shapes, dtypes) if given is None else np.asarray(given)

    def call(self, layer: keras.Layer, inputs: Any, **kwargs: Any) -> Any:
        """Call a layer as the case says: a dict of inputs by name, all else as the first argument."""
        kwargs = {**self.case.call_kwargs, **kwargs}
        if isinstance(inputs, dict):
            return layer(**inputs, **kwargs)
        return layer(inputs, **kwargs)

    def compute(self, layer: keras.Layer, inputs: Any = None, **kwargs: Any) -> Any:
        """Call a layer eagerly on arrays (the case's own by default) and return arrays."""
        inputs = self.inputs if inputs is None else inputs
        tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
        return to_numpy(self.call(layer, tensors, **kwargs))

    @functools.cached_property
    def reference(self) -> keras.Layer:
        """The built layer in float32, its trainable weights moved off their initial values.

        So a scale that starts at one or a bias that starts at zero counts in what is compared.
        """
        layer = self.make()
        self.compute(layer)
        random = np.random.default_rng(1)
        for variable in layer.trainable_variables:
            noise = 0.1 * random.standard_normal(tuple(variable.shape))
            variable.assign(value_of(variable) + noise.astype(variable.dtype))
        return layer

    @functools.cached_property
    def outputs(self) -> Any:
        """What the reference computes from the inputs at inference."""
        with self.unchanged(self.reference):
            return self.compute(self.reference, training=False)

    @functools.cached_property
    def training_outputs(self) -> Any:
        """What the reference computes from the inputs in training."""
        with self.unchanged(self.reference):
            return self.compute(self.reference, training=True)

    @functools.cached_property
    def is_noisy(self) -> bool:
        """Whether training outputs depend on the state of a seed generator."""
        if not seed_states(self.reference):
            return False
        usual = self.training_outputs
        with self.unchanged(self.reference):
            for variable in seed_states(self.reference):
                variable.assign(value_of(variable) + 1)
            return not equal(self.compute(self.reference, training=True), usual)

    def twin(self, dtype: str | None = None) -> keras.Layer:
        """A second layer with the weights and state of the reference."""
        layer = self.make(dtype)
        self.compute(layer)
        copy_variables(self.reference, layer)
        return layer

    @contextlib.contextmanager
    def unchanged(self, layer: keras.Layer) -> Iterator[None]:
        """Give a layer its variables back after a call that may change them."""
        before = values_of(layer.variables)
        try:
            yield
        finally:
            for variable, value in zip(layer.variables, before, strict=True):
                variable.assign(value)

    def functional(self, layer: keras.Layer, *, dynamic: bool) -> keras.Model:
        """A functional model of the layer alone.

        Args:
            layer: to wrap.
            dynamic: whether every axis that may vary is None; otherwise every size is fixed.
        """

        def entry(name: str | None, x: np.ndarray) -> keras.KerasTensor:
            axes = self.dynamic_axes(x) if dynamic else ()
            shape = tuple(None if axis in axes else size for axis, size in enumerate(x.shape))
            return keras.Input(batch_shape=shape, dtype=str(x.dtype), name=name)

        if isinstance(self.inputs, dict):
            entries = {name: entry(name, x) for name, x in self.inputs.items()}
        else:
            entries = keras.tree.map_structure(functools.partial(entry, None), self.inputs)
        return keras.Model(entries, self.call(layer, entries))

    def dynamic_axes(self, x: np.ndarray) -> tuple[int, ...]:
        """Axes of an input that may be None: all but the features, or those the case names."""
        last = x.ndim if np.issubdtype(x.dtype, np.integer) or x.ndim == 1 else x.ndim - 1
        chosen = range(last) if self.case.dynamic_axes is None else self.case.dynamic_axes
        return tuple(axis for axis in chosen if axis < x.ndim)

    def other_sizes(self) -> Any:
        """The inputs with one sample more, and one step fewer (or more, below three) on each other dynamic axis."""

        def resize(x: np.ndarray) -> np.ndarray:
            for axis in self.dynamic_axes(x):
                if axis == 0 or x.shape[axis] < 3:
                    x = np.concatenate([x, np.take(x, [0], axis)], axis)
                else:
                    x = np.take(x, range(x.shape[axis] - 1), axis)
            return x

        return keras.tree.map_structure(resize, self.inputs)

    def shape_arguments(self, method: Callable, shapes: Any) -> tuple[tuple, dict[str, Any]]:
        """Arguments for `build` or `compute_output_shape`: by name where the layer takes several inputs."""
        if not isinstance(shapes, dict):
            return (shapes,), {}
        accepted = inspect.signature(method).parameters
        takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in accepted.values())
        named = {f"{name}_shape": shape for name, shape in shapes.items()}
        named = {name: shape for name, shape in named.items() if takes_all or name in accepted}
        return ((), named) if named else ((next(iter(shapes.values())),), {})


def seed_states(layer: keras.Layer) -> list[keras.Variable]:
    """Variables that hold the state of the layer's seed generators."""
    return [variable for variable in layer.variables if "seed_generator_state" in variable.path]


def copy_variables(source: keras.Layer, target: keras.Layer) -> None:
    """Give one layer every weight and all other state of another of the same class."""
    for old, new in zip(source.variables, target.variables, strict=True):
        new.assign(value_of(old))
