"""What converters say stays off the terminal, which returns even after a failure."""

import os

import pytest

from keras_arch.compression.quantization.captured_output import captured_output


def test_what_was_said_can_be_read(capfd):
    with captured_output() as said:
        print("from Python")
        os.write(2, b"from C++")
        said.seek(0)
    assert capfd.readouterr() == ("", "")


def test_the_terminal_returns_after_a_failure(capfd):
    said = []

    def fail():
        with captured_output() as file:
            said.append(file)
            print("from Python")
            os.write(2, b"from C++")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    print("after")
    os.write(1, b"wards")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("after\nwards", "")
    assert said[0].closed
