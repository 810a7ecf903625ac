"""Optional packages: there, or one line that says how to get them."""

import pytest

from keras_arch.core.optional import available, require, room


def test_a_missing_package_names_the_extra_and_the_command():
    with pytest.raises(ImportError, match="Loading digits needs the package 'no_such_package'. Install it with: pip"):
        require("no_such_package.datasets", extra="demo", purpose="Loading digits")


def test_a_present_package_is_returned():
    assert require("json.decoder", extra="demo", purpose="x").__name__ == "json.decoder"


def test_available_does_not_import():
    import sys

    sys.modules.pop("this", None)
    assert available("this")
    assert "this" not in sys.modules


def test_room_opens_a_module_of_the_package():
    import keras_arch.core.walk

    assert room("core.walk") is keras_arch.core.walk
