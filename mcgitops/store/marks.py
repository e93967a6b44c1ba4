"""Marks: what garbage collection found unneeded in a bucket, and since when.

A mark is a record of its own, `marks/<time>-<random>.json`, written once:

    {"format": 1, "at": "2026-05-01T12:00:00Z", "marked": ["packs/ab/…", …], "cancelled": {…}}

A key goes only after it has been marked for the grace period, and nobody needs it by then. Whoever
pushes reads the marks (one listing, which is short) and takes a place of objects that is marked
for missing: he writes what he needs elsewhere, and is independent of when it goes. Records have
one place each; there a push *cancels* the mark. `cancelled` names the keys for each of the marks
that are cancelled, so that clocks that differ don't matter.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store import layout
from mcgitops.store.backend import Backend, Entry
from mcgitops.store.listing import read_listed
from mcgitops.store.seals import is_whole, sealed
from mcgitops.store.threads import THREADS, each

FORMAT = 1
PREFIX = "marks/"
LARGEST = 256 * 1024 * 1024
MOST_KEYS = 100_000
"""Keys in one mark: more of them are several marks."""


@dataclass(frozen=True)
class Mark:
    """One mark as it is stored. `at`: seconds since 1970. `cancelled`: other mark → its keys."""

    key: str
    at: float
    marked: tuple[str, ...] = ()
    cancelled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Marks:
    """All marks of a store."""

    all: tuple[Mark, ...] = ()

    def since(self) -> dict[str, float]:
        """Key → since when it is marked, of those whose mark wasn't cancelled."""
        return {key: min(at for at, _ in of_key) for key, of_key in self._valid().items()}

    def of(self, keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """What cancels the marks of `keys`: mark → those of its keys."""
        found: dict[str, list[str]] = {}
        valid = self._valid()
        for key in keys:
            for _, name in valid.get(key, ()):
                found.setdefault(name, []).append(key)
        return {name: tuple(of_mark) for name, of_mark in found.items()}

    def _valid(self) -> dict[str, list[tuple[float, str]]]:
        gone = {
            (name, key) for one in self.all for name, keys in one.cancelled.items() for key in keys
        }
        found: dict[str, list[tuple[float, str]]] = {}
        for one in self.all:
            for key in one.marked:
                if (one.key, key) not in gone:
                    found.setdefault(key, []).append((one.at, one.key))
        return found


class MarkReader:
    """Reads a store's marks; each of them only once, since they never change."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._known: dict[str, Mark] = {}

    def read(self) -> Marks:
        """The marks as they are now: one listing, and what is new of them."""
        marks = read_listed(self._backend, [PREFIX], layout.is_json, self._some)
        self._known = {mark.key: mark for mark in sorted(marks, key=lambda mark: mark.key)}
        return Marks(tuple(self._known.values()))

    def _some(self, entries: Sequence[Entry]) -> list[Mark | None]:
        new = [entry.key for entry in entries if entry.key not in self._known]
        read = dict(zip(new, each(self._read, new, THREADS), strict=True))
        return [self._known.get(entry.key) or read.get(entry.key) for entry in entries]

    def _read(self, key: str) -> Mark | None:
        value = self._backend.get(key, LARGEST)
        return None if value is None else decoded(key, value, self._backend.url)


def write(
    backend: Backend,
    at: float,
    marked: Iterable[str] = (),
    cancelled: Mapping[str, tuple[str, ...]] | None = None,
) -> None:
    """Mark keys, or cancel marks. at: seconds since 1970."""
    keys = list(marked)
    parts = [keys[start : start + MOST_KEYS] for start in range(0, len(keys), MOST_KEYS)] or [[]]
    for number, part in enumerate(parts):
        given = (cancelled or {}) if number == 0 else {}
        if part or given:
            backend.create(new_key(at), encoded(at, part, given))


def new_key(at: float) -> str:
    """A key that nobody else writes; sorts by time."""
    return f"{PREFIX}{_time(at):%Y%m%dT%H%M%SZ}-{secrets.token_hex(8)}.json"


def encoded(at: float, marked: Iterable[str], cancelled: Mapping[str, tuple[str, ...]]) -> bytes:
    """A mark as it is stored."""
    value = {
        "format": FORMAT,
        "at": _time(at).isoformat(),
        "marked": list(marked),
        "cancelled": {name: list(keys) for name, keys in cancelled.items()},
    }
    return sealed(json.dumps(value).encode())


def decoded(key: str, value: bytes, where: str) -> Mark:
    """Read a mark. One that is damaged is an error: nobody can say what it holds."""
    try:
        loose: Any = json.loads(value)
        if not is_whole(value):
            raise ValueError("seal")
        if loose["format"] > FORMAT:
            raise StoreError(
                f"{key} in {where} was written by a newer mcgitops.", "Upgrade mcgitops."
            )
        marked = tuple(layout.check_key(one) for one in loose["marked"])
        cancelled = {
            layout.check_key(name): tuple(layout.check_key(one) for one in keys)
            for name, keys in loose["cancelled"].items()
        }
        at = datetime.fromisoformat(loose["at"]).timestamp()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"The mark {key} in {where} is damaged.",
            "Run mcgitops verify --repair: it sets the mark aside, and nothing else is lost.",
        ) from error
    return Mark(key, at, marked, cancelled)


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
