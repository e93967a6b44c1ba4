"""New files that nobody sees until they are whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

COPY_BYTES = 1024 * 1024


@contextmanager
def temporary(folder: Path, mode: int = 0o666) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file in the folder, gone at the end unless it was renamed. The umask applies."""
    path = folder / f".mcgitops-{os.getpid()}-{secrets.token_hex(8)}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, mode), "w+b") as stream:
            yield path, stream
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def nameless(target: Path, mode: int) -> Iterator[BinaryIO]:
    """A file that becomes `target` at the end, and leaves nothing where that isn't reached.

    Without a name until it is whole, where the file system can do that: a killed process then
    leaves no half file in a project folder, which would be taken for an input.
    """
    descriptor = opened(target.parent, mode)
    if descriptor is None:
        with temporary(target.parent, mode) as (path, stream):
            yield stream
            stream.flush()
            path.replace(target)
        return
    with os.fdopen(descriptor, "w+b") as stream:
        yield stream
        stream.flush()
        try:
            named(descriptor, target)
        except OSError:  # no /proc here, or a file system that can't after all
            import shutil

            stream.seek(0)
            with temporary(target.parent, mode) as (path, copy):
                shutil.copyfileobj(stream, copy, COPY_BYTES)
                copy.flush()
                path.replace(target)


def write_new(value: bytes, target: Path, mode: int) -> bool:
    """Write a small file that isn't there, or replace it; False where it can't be done like that.

    With few calls, for there may be tens of thousands; the folder has to be there.
    """
    place = os.path.abspath(target)  # noqa: PTH100  (no Path for each of them)
    descriptor = opened(os.path.dirname(place), mode)  # noqa: PTH120
    if descriptor is None:
        return False
    try:
        if os.write(descriptor, value) != len(value):
            return False
        _named(descriptor, place)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def opened(folder: Path | str, mode: int) -> int | None:
    """A file without a name in the folder, open; None where the file system can't do that."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode)
    except (AttributeError, OSError):
        return None


def named(descriptor: int, target: Path) -> None:
    """Give a nameless file its name, replacing what has it."""
    _named(descriptor, os.path.abspath(target))  # noqa: PTH100


def _named(descriptor: int, place: str) -> None:
    nameless = f"/proc/self/fd/{descriptor}"

    def link(name: str) -> None:
        # With src_dir_fd Python calls linkat, which follows the link in /proc to the file itself;
        # as both paths are absolute, which descriptor it is doesn't matter.
        os.link(nameless, name, src_dir_fd=descriptor, follow_symlinks=True)

    try:
        link(place)
    except FileExistsError:
        folder = os.path.dirname(place)  # noqa: PTH120
        name = f"{folder}/.mcgitops-{os.getpid()}-{secrets.token_hex(8)}"
        try:
            link(name)
            os.replace(name, place)  # noqa: PTH105
        except BaseException:  # Ctrl-C, too: it would be taken for an input
            with suppress(OSError):
                os.unlink(name)  # noqa: PTH108
            raise
