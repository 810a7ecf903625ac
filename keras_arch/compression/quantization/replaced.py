"""A file that appears whole or not at all."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

from keras_arch.core import check


@contextlib.contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Lend an empty file beside `path`, and put it in the place of `path` if the block ends without an error.

    Args:
        path: where the file shall be; its folder must exist.
    Yields:
        Where to write.
    Raises:
        ValueError: for a folder, or a path in a folder that does not exist.
        OSError: if the folder cannot be written to; before the block begins.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "notes.txt")
    >>> with replaced(path) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> path.read_text()
    'whole'
    """
    target = pathlib.Path(path)
    try:
        if target.is_dir():
            raise check.refuse("path", "must name a file", str(target), 'Add a name such as "model.tflite".')
        if not target.parent.is_dir():
            raise check.refuse("path", "must be in a folder that exists", str(target), "Create the folder first.")
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    except OSError as error:
        says = f"{error.strerror}: path must be one that can be written, choose another folder or name"
        raise type(error)(error.errno, says, str(target)) from error
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's mask for new files, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
