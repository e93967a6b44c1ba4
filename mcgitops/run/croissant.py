"""Holds the data that a Croissant description names against its checksums, before a stage trains.

SHA-256 comes from the index of file digests where nothing has changed, so that a large data set
isn't read again for each run; MD5 is computed where a file has nothing better.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mcgitops.errors import UsageError
from mcgitops.facts.files import tree
from mcgitops.facts.index import Index
from mcgitops.metrics.formats import json_file
from mcgitops.metrics.formats.croissant import FileObject, conforms, file_objects
from mcgitops.metrics.values import UnreadableError, Warnings

_REMEDY = (
    "Get the data again, or correct the description if the data was meant to change. "
    "Nothing was trained."
)


Known = Callable[[str], str | None]


def verify(
    folder: Path,
    descriptions: tuple[str, ...],
    index: Index,
    pinned: Known = lambda path: None,
) -> Iterator[str]:
    """Check all files of these descriptions; yields a sentence for what couldn't be checked.

    pinned: gives the SHA-256 of a file that isn't here, by its project-relative path, where a pin
            knows it; such a file needn't be fetched to be checked.

    Raises `UsageError`, naming the file, where one is missing or differs, or where a description
    can't be read.
    """
    for path in descriptions:
        objects = file_objects(_description(folder, path))
        unchecked = []
        for item in objects:
            if (place := _place(folder, path, item)) is None or not item.digests:
                unchecked.append(item.name)
                continue
            if not _check(folder, path, item, place, index, pinned):
                unchecked.append(item.name)
        if not objects:
            yield f"{path} names no file, so nothing of it was checked."
        elif unchecked:
            more = f" and {len(unchecked) - 3} more" if len(unchecked) > 3 else ""
            yield (
                f"{path}: {', '.join(unchecked[:3])}{more} not checked: no checksum, or no file of "
                "this folder."
            )


def _description(folder: Path, path: str) -> dict[str, Any]:
    try:
        with (folder / path).open("rb") as stream:
            data = json_file.load(stream, Warnings())
    except OSError as error:
        raise UsageError(
            f"{path}: the Croissant description can't be read: {error.strerror or error}.",
            "Create it, or correct x-mcgitops.croissant.",
        ) from None
    except UnreadableError as error:
        raise UsageError(
            f"{path}: the Croissant description {error}", "Nothing was trained."
        ) from None
    if not conforms(data):
        raise UsageError(
            f"{path}: is no Croissant description: its conformsTo doesn't name it.",
            "Correct the file, or x-mcgitops.croissant.",
        )
    return dict(data)


def _place(folder: Path, description: str, item: FileObject) -> str | None:
    """Where a file of the data set is, relative to the project; None where it can't be here.

    A relative address is a file beside the description. What has a web address may have been
    fetched under its last name, or under its name in the description.
    """
    if item.inside or not item.url:
        return None
    home = posixpath.dirname(description)
    try:
        address = urlsplit(item.url)
    except ValueError:
        return None
    if not address.scheme and not address.netloc:
        relative = item.url if _is_file(folder / home / item.url) else unquote(address.path)
        place = posixpath.normpath(posixpath.join(home, relative))
        if place.startswith(("/", "../")) or place == "..":
            raise UsageError(
                f"{description}: {item.url[:200]!r} leads out of the project folder.",
                "Name files inside it.",
            )
        return place
    names = (posixpath.basename(unquote(address.path)), item.name)
    places = (posixpath.normpath(posixpath.join(home, name)) for name in names if name)
    return next((p for p in places if not p.startswith(("/", "..")) and _is_file(folder / p)), None)


def _check(
    folder: Path, description: str, item: FileObject, place: str, index: Index, pinned: Known
) -> bool:
    """Hold one file against its checksums; False where nothing is known to hold against them."""
    path = folder / place
    absent = not _is_file(path)
    known = pinned(place) if absent else None
    if absent and known is None:
        raise UsageError(f"{description} names {place}, which isn't there.", f"{_REMEDY}")
    for algorithm in ("sha256",) if absent else ("sha256", "md5"):
        if wanted := item.digests.get(algorithm):
            found = known or _sha256(path, index) if algorithm == "sha256" else _md5(path)
            if found != wanted:
                raise UsageError(
                    f"{place} isn't what {description} describes: its {algorithm} is "
                    f"{found[:12]}…, not {wanted[:12]}….",
                    _REMEDY,
                )
            return True
    return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for a file
        return False


def _sha256(path: Path, index: Index) -> str:
    (entry,) = tree(path, index).entries
    return entry.digest.removeprefix("sha256:")


def _md5(path: Path) -> str:
    with path.open("rb", buffering=0) as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
