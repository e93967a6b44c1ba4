"""Writing files from a store into a project folder, without losing what is there.

All paths are looked at before the first file is written. A file that differs is replaced only if
its content is in a store, so that it can come back; otherwise nothing is changed and it is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store.helper import halved
from mcgitops.store.objects import hashed
from mcgitops.store.records import FileRef, is_inside
from mcgitops.store.store import Store

if TYPE_CHECKING:
    from mcgitops.store.making import Making

FORBIDDEN = {".git", ".mcgitops"}
MANY = 2_000
"""Files that are worth a second process."""


@dataclass(frozen=True)
class Restored:
    """What was written, and what was there already. Paths relative to the folder."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]


def restore(
    source: Store,
    files: Iterable[FileRef],
    folder: Path,
    *,
    keepers: Sequence[Store] = (),
    force: bool = False,
    making: Making | None = None,
) -> Restored:
    """Write `files` below `folder`, each atomically and verified.

    `keepers` are further stores in which the content of a file that is to be replaced may be.
    `force` replaces files whose content is in no store. `making` has some of them ready.
    """
    wanted = {file.path: file for file in files}
    inside: dict[str, bool] = {}  # thousands of files share few folders
    places = {path: place_of(path, folder, inside) for path in wanted}
    there = {above for above in inside if _may_be_there(folder / above)}
    found = {
        path: _digest_of(place, path) if path.rpartition("/")[0] in there else None
        for path, place in places.items()
    }
    changed = [
        path
        for path, digest in found.items()
        if digest != wanted[path].digest or not _mode_fits(places[path], wanted[path])
    ]
    if not force:
        # Of each file by itself: what it has may be what another one is to have.
        replaced = {
            path: digest
            for path in changed
            if (digest := found[path]) is not None and digest != wanted[path].digest
        }
        others = set(replaced.values())
        for store in (source, *keepers):
            others = store.missing(others) if others else others
        if lost := [path for path, digest in replaced.items() if digest in others]:
            raise StoreError(
                f"{_names(lost)} would be overwritten, and no store has that content.",
                "Move it away, or say --force. Nothing was changed.",
            )

    def write(path: str) -> None:
        source.fetch(wanted[path].digest, places[path], executable=wanted[path].executable)

    left = changed
    if making is not None:
        left = [path for path in changed if making.place(wanted[path], places[path]) is None]
    if source.is_local:
        halved(write, left, MANY)
    else:
        for path in left:
            write(path)
    written = set(changed)
    return Restored(tuple(changed), tuple(path for path in wanted if path not in written))


def place_of(path: str, folder: Path, inside: dict[str, bool] | None = None) -> Path:
    """Where a record's path is in the folder; one that leads out of it is refused.

    Records may come from others, so their paths are not trusted: neither `..` nor a symbolic link
    to elsewhere gets out, and git's and our own folders are not written to. `inside` keeps what was
    found of folders, for many files in one go.
    """
    ours = FORBIDDEN & {part.lower() for part in path.split("/")}
    if ours or not path.isprintable() or not is_inside(path):
        raise StoreError(
            f"A record names the path {path[:200]!r}, which is no place for an artifact.",
            "Don't use that record; nothing was changed.",
        )
    target = folder / path
    above = path.rpartition("/")[0]
    known = {} if inside is None else inside
    if above not in known:
        known[above] = target.parent.resolve().is_relative_to(folder.resolve())
    if not known[above]:
        raise StoreError(
            f"{path} leads out of {folder} through a symbolic link.",
            "Remove the link; nothing was changed.",
        )
    return target


def _digest_of(target: Path, path: str) -> str | None:
    """The digest of what is there, or None where nothing is (a broken link counts as nothing)."""
    try:
        with target.open("rb") as stream:
            return hashed(stream)[0]
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        raise StoreError(
            f"{path} is a folder here, and a file in the record.", "Move it away."
        ) from None
    except OSError as error:
        raise StoreError(f"Could not read {target}: {error.strerror or error}.") from error


def _may_be_there(folder: Path) -> bool:
    """Whether files may be in it; where that can't be told, whoever reads one says why."""
    try:
        folder.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _mode_fits(target: Path, file: FileRef) -> bool:
    return os.access(target, os.X_OK) == file.executable


def _names(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:5])
    return shown if len(paths) <= 5 else f"{shown} and {len(paths) - 5} more"
