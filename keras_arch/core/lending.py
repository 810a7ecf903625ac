"""Calling a layer with other values of its weights, without touching them."""

from collections.abc import Iterable
from typing import Any

import keras


def call_with_values(
    layer: keras.Layer, values: Iterable[tuple[keras.Variable, Any]], *args: Any, **kwargs: Any
) -> tuple[Any, list]:
    """Call a built layer that sees the given values in place of those of some of its variables.

    Gradients flow into what the values were computed from. The lent variables keep their own values; what the call
    assigns to any variable, such as running statistics, is assigned after it.

    Args:
        layer: any built layer.
        values: pairs of a variable of the layer and the tensor it is to read as, of the variable's shape.
        *args: of the call.
        **kwargs: of the call.
    Returns:
        (outputs, losses that the call added), the losses for the caller's own `add_loss`.

    >>> dense = keras.layers.Dense(2, use_bias=False)
    >>> dense.build((None, 3))
    >>> outputs, _ = call_with_values(dense, [(dense.kernel, np.ones((3, 2), "float32"))], np.ones((1, 3)))
    >>> keras.ops.convert_to_numpy(outputs).tolist()
    [[3.0, 3.0]]
    """
    lent = {id(variable): value for variable, value in values}
    variables = layer.variables
    # All of them, and those among the arguments: a scope hides the values that an outer scope lends.
    args, kwargs = keras.tree.map_structure(_read, (args, kwargs))
    mapping = [(one, lent.get(id(one), one.value)) for one in variables]
    with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
        before = [scope.get_current_value(variable) for variable in variables]
        outputs = layer(*args, **kwargs)
        after = [scope.get_current_value(variable) for variable in variables]
    for variable, old, new in zip(variables, before, after, strict=True):
        if new is not old:
            variable.assign(new)
    return outputs, scope.losses


def _read(x: Any) -> Any:
    return x.value if isinstance(x, keras.Variable) else x
