"""Which records a store was given: what the local store has, and the note of what went.

Imports next to nothing: most pushes find by it that there is nothing to do.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mcgitops.errors import StoreError
from mcgitops.store import layout

if TYPE_CHECKING:
    from mcgitops.store.backend import Backend


def record_keys(backend: Backend, project: str) -> list[str]:
    """The keys of all records of a project. Reads the whole store's list: for local ones."""
    own = layout.segment(project)
    tops = (f"{kind}/{own}/" for kind in ("runs", "attempts", "releases", "deployments"))
    keys = [key for top in tops for key in _keys(backend, top)]
    return keys + [key for key in _keys(backend, "commits/") if key.split("/")[2:3] == [own]]


def _keys(backend: Backend, prefix: str) -> Iterator[str]:
    for entry in backend.entries(prefix):
        if layout.is_json(entry.key):
            yield entry.key


class Pushed:
    """The note of which records a store was given: one key a line. Losing it costs only time."""

    def __init__(self, folder: Path, url: str) -> None:
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.path = folder / f"pushed-{name}"

    def read(self) -> set[str]:
        """The keys, as far as known."""
        try:
            return set(self.path.read_text().splitlines())
        except (OSError, UnicodeDecodeError):
            return set()

    def write(self, keys: Iterable[str]) -> None:
        """Note the keys."""
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}-{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text("".join(f"{key}\n" for key in keys))
            temporary.replace(self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            reason = error.strerror or error
            raise StoreError(f"Could not write {self.path}: {reason}.") from error
