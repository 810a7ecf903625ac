"""Who feeds whom in a Sequential or functional model, read from the public serialised form of its graph."""

import dataclasses
from typing import Any

import keras


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor of a graph: which call of which operation it comes from, its shape and its type."""

    operation: str
    call: int
    position: int
    shape: tuple[int | None, ...]
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class Graph:
    """The operations of a model in an order of execution.

    Args:
        operations: name to layer or operation, inputs included.
        calls: name to one tuple of input tensors for each call; shared layers have several calls.
        outputs: (operation, call, position) of what the model returns, flat.
        options: name to what each call was given beside tensors, None and False left out, such as (True,) for
            `training=True`.
    """

    operations: dict[str, Any]
    calls: dict[str, tuple[tuple[Tensor, ...], ...]]
    outputs: tuple[tuple[str, int, int], ...]
    options: dict[str, tuple[tuple[Any, ...], ...]]

    def is_output(self, name: str, call: int) -> bool:
        """Whether the model returns a tensor of this call."""
        return any(output[:2] == (name, call) for output in self.outputs)

    def consumers(self, name: str, call: int = 0) -> list[str]:
        """Names of the operations that take an output of one call, one entry for each use."""
        return [
            taker
            for taker, calls in self.calls.items()
            for tensors in calls
            for tensor in tensors
            if (tensor.operation, tensor.call) == (name, call)
        ]


def graph_of(model: keras.Model) -> Graph:
    """Read the graph of a model.

    Args:
        model: a built Sequential or functional model.
    Raises:
        ValueError: for a model without a graph: subclassed, or Sequential and not built.

    >>> graph = graph_of(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="only")]))
    >>> graph.calls["only"][0][0].shape
    (None, 2)
    """
    if isinstance(model, keras.Sequential):
        return _sequential_graph(model)
    config = model.get_config() if isinstance(model, keras.Model) and hasattr(model, "operations") else {}
    if "input_layers" not in config:
        received = f"{type(model).__module__}.{type(model).__qualname__}"
        raise ValueError(
            f"model must be Sequential or functional, for it needs a graph; received a {received}. "
            "Rebuild it as keras.Model(inputs, outputs)."
        )
    operations = {operation.name: operation for operation in model.operations}
    calls, options = {}, {}
    for entry in config["layers"]:
        calls[entry["name"]] = tuple(tuple(_tensors(node)) for node in entry["inbound_nodes"])
        options[entry["name"]] = tuple(tuple(_options(node)) for node in entry["inbound_nodes"])
    return Graph(operations, calls, tuple(_references(config["output_layers"])), options)


def inputs_of(model: keras.Model) -> Any:
    """The symbolic inputs of a model, in the structure it is called with.

    >>> inputs_of(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])).shape
    (None, 2)
    """
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _sequential_graph(model: keras.Sequential) -> Graph:
    if not model.built:
        raise ValueError(
            f"model must be built, for it needs a graph; received the Sequential model={model.name!r} without an "
            "input shape. Begin it with keras.Input(shape), or call model.build(shape)."
        )
    last = Tensor("", 0, 0, tuple(model.input_shape), keras.backend.standardize_dtype(model.inputs[0].dtype))
    operations, calls = {"": None}, {"": ()}
    for layer in model.layers:
        operations[layer.name] = layer
        calls[layer.name] = ((last,),)
        spec = layer.compute_output_spec(keras.KerasTensor(last.shape, last.dtype))
        last = Tensor(layer.name, 0, 0, tuple(spec.shape), spec.dtype)
    return Graph(operations, calls, ((last.operation, 0, 0),), dict.fromkeys(calls, ((),)))


def _tensors(serialised: Any) -> list[Tensor]:
    """Every tensor in a serialised call, in the order of its arguments."""
    if isinstance(serialised, dict):
        if serialised.get("class_name") == "__keras_tensor__":
            config = serialised["config"]
            return [Tensor(*config["keras_history"], tuple(config["shape"]), config["dtype"])]
        serialised = list(serialised.values())
    if isinstance(serialised, list | tuple):
        return [tensor for part in serialised for tensor in _tensors(part)]
    return []


def _options(serialised: Any) -> list[Any]:
    """Every value in a serialised call that is neither a tensor nor None nor False."""
    if isinstance(serialised, dict):
        if serialised.get("class_name") == "__keras_tensor__":
            return []
        serialised = list(serialised.values())
    if isinstance(serialised, list | tuple):
        return [value for part in serialised for value in _options(part)]
    return [] if serialised is None or serialised is False else [serialised]


def _references(serialised: Any) -> list[tuple[str, int, int]]:
    """Every [name, call, position] in the serialised outputs, whatever their structure."""
    if isinstance(serialised, dict):
        serialised = list(serialised.values())
    if len(serialised) == 3 and isinstance(serialised[0], str):
        return [tuple(serialised)]
    return [reference for part in serialised for reference in _references(part)]
