"""A way to see which checks notice a broken layer."""

import pytest

from keras_arch.testing import CHECK_NAMES, check_cell, check_layer
from keras_arch.testing.layer.check import LayerCheckError

SLOW = ("jit_compile", "saved_model", "litert")


@pytest.fixture
def failures():
    """Run the battery without its slow compilations, unless asked for, and return {check: message} of what failed."""

    def run(layer, init_kwargs=None, input_shape=(2, 5, 3), *, slow=(), cell=False, **options):
        skip = {name: "slow" for name in SLOW if name not in slow}
        skip |= options.pop("skip", {})
        try:
            (check_cell if cell else check_layer)(layer, init_kwargs or {}, input_shape, skip=skip, **options)
        except LayerCheckError as error:
            return {failure.check: failure.message for failure in error.failures}
        return {}

    return run


@pytest.fixture
def only():
    """Skip everything but the named checks (and the vital first one)."""

    def skip(*names):
        return {name: "not asked" for name in CHECK_NAMES if name not in (*names, "can_be_called")}

    return skip
