"""ReLU operations of a TensorFlow graph under way."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

_TYPES = ("Relu", "Relu6")


@contextlib.contextmanager
def listed(found: list[str]) -> Iterator[None]:
    """Add the names of the operations that are made inside the block; in eager execution nothing is found.

    Args:
        found: filled when the block ends.
    """
    graph = tf.compat.v1.get_default_graph()
    before = _names(graph)
    yield
    found.extend(name for name in _names(graph) if name not in before)


def _names(graph: tf.Graph) -> list[str]:
    """Of the graph itself and of the functions it calls: loops, branches, functions traced inside it."""
    definition = graph.as_graph_def()
    names = [node.name for node in definition.node if node.op in _TYPES]
    for function in definition.library.function:
        names += [f"{function.signature.name}/{node.name}" for node in function.node_def if node.op in _TYPES]
    return names
