"""A file appears whole or not at all, and a path that cannot be written is refused before any work."""

import os

import pytest

from keras_arch.compression.quantization.replaced import replaced


def test_a_block_that_ends_well_replaces_the_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"before")
    with replaced(path) as temporary:
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["notes.txt"]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "kept.txt").write_bytes(b"before")

    def write_half(name):
        with replaced(tmp_path / name) as temporary:
            temporary.write_bytes(b"half")
            raise KeyError

    for name in ("kept.txt", "new.txt"):
        with pytest.raises(KeyError):
            write_half(name)
    assert os.listdir(tmp_path) == ["kept.txt"]
    assert (tmp_path / "kept.txt").read_bytes() == b"before"


def test_unsuitable_paths_are_refused_before_the_block(tmp_path):
    begun = []
    for path, kind, match in (
        (tmp_path, ValueError, "path must name a file"),
        (tmp_path / "missing" / "m", ValueError, "path must be in a folder that exists"),
        (tmp_path / ("m" * 300), OSError, "File name too long: path must be one that can be written"),
    ):
        with pytest.raises(kind, match=match), replaced(path):
            begun.append(path)
    assert not begun
    assert not os.listdir(tmp_path)


def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(PermissionError, match="path must be one that can be written"), replaced(tmp_path / "m"):
        pass
