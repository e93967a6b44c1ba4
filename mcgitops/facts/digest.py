"""Hashes files, here or in processes of its own: small ones cost more of Python than of SHA-256.

Python hashes large files on all cores with threads, since it lets others work meanwhile. Of a small
file most of the time goes to opening it, which it doesn't. So where there are many, this module is
also run as a program, once for each core: it is asked for batches of paths over a pipe. It needs
nothing but a few modules of the standard library, so that it starts in hundredths of a second.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import time

TRIES = 3
SMALL = 1024 * 1024
"""Bytes: up to here a file is read in one piece."""

Digest = tuple[int, int, int, int, int, int, str]
"""inode, size, mtime_ns, ctime_ns, mode; when the reading began (ns since 1970); SHA-256 as hex."""


class Changing(Exception):
    """A file was written to each time that it was read."""


def digest(path: str) -> Digest:
    """Read a file that nobody changes meanwhile. Raises `OSError` or `Changing`."""
    for _ in range(TRIES):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor)
            seen = time.time_ns()
            size = before.st_size
            if size <= SMALL:
                data = os.read(descriptor, size + 1)
                while len(data) <= size and (more := os.read(descriptor, size + 1 - len(data))):
                    data += more
                hexadecimal = hashlib.sha256(data).hexdigest()
            else:
                with open(descriptor, "rb", buffering=0, closefd=False) as stream:
                    hexadecimal = hashlib.file_digest(stream, "sha256").hexdigest()
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if size == after.st_size and before.st_mtime_ns == after.st_mtime_ns:
            return (
                after.st_ino, size, after.st_mtime_ns, after.st_ctime_ns, after.st_mode, seen,
                hexadecimal,
            )  # fmt: skip
    raise Changing(path)


def main() -> None:
    """Answer batches of paths with their digests, None for one that couldn't be read."""
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            paths: list[str] = marshal.load(asked)  # noqa: S302  (from the process that began this)
        except EOFError:
            return
        found: list[Digest | None] = []
        for path in paths:
            try:
                found.append(digest(path))
            except (OSError, Changing):
                found.append(None)  # who asked reads it again, and says what is wrong
        marshal.dump(found, answers)
        answers.flush()


if __name__ == "__main__":
    main()
