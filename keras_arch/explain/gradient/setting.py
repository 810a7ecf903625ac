"""Values that stand as settings inside a method, and are compared and stored as the method is."""

from typing import Any

from keras_arch.explain.method import Method


class Setting:
    """Base of a registered frozen dataclass (`eq=False, repr=False`) that may hold arrays.

    >>> ka.explain.gradient.references.References([[1.0]]) == ka.explain.gradient.references.References([[2.0]])
    False
    """

    get_config = Method.get_config
    __eq__ = Method.__eq__
    __hash__ = Method.__hash__
    __repr__ = Method.__repr__

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Setting":
        """The value that `get_config` described."""
        return Method.from_config.__func__(cls, config)
