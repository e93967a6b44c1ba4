"""What came into a store, in the order in which it came: an append-only log without gaps.

Who knows it up to a number asks for the next one only, so nobody lists a bucket to learn what is
there. Entries are written once, by `create`, each under the number after the last. When 64 more are
there, they are written a second time as one span, and 64 spans as a longer one: whoever knows
nothing yet needs few requests. Spans are made of entries alone; losing one costs only time.

It is an aid and never the truth: on a service without conditional writes two writers in one instant
can write the same number, and one of the entries is lost; older versions wrote none. So what it
doesn't name is looked for in the store before it is called missing, and what it names may be gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mcgitops.errors import StoreError
from mcgitops.store import layout
from mcgitops.store.backend import Backend
from mcgitops.store.seals import is_whole, sealed
from mcgitops.store.threads import THREADS, each

FORMAT = 1
SPAN = 64
LENGTHS = (SPAN * SPAN, SPAN)
"""Of spans, the longest first. A span begins after a multiple of its length."""
LARGEST = 256 * 1024 * 1024
ATTEMPTS = 200


@dataclass(frozen=True)
class Entry:
    """What came in at once: packs by name, records by key; and the keys of what was removed."""

    packs: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.packs or self.records or self.gone)


@dataclass(frozen=True)
class Position:
    """Up to where somebody knows a journal: a number, and the SHA-256 of that entry's bytes.

    The second shows when the store was emptied and begun anew meanwhile.
    """

    number: int = 0
    seal: str = ""


START = Position()


@dataclass(frozen=True)
class News:
    """Entries after a position. `anew`: all from the first on, since that position isn't there."""

    position: Position
    entries: tuple[Entry, ...]
    anew: bool = False


class Journal:
    """The journal of one store. Keeps nothing but what it was told last."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def since(self, known: Position = START) -> News:
        """What came in after a position. With nothing new it takes two requests at once."""
        if known.number:
            keys = [layout.journal_key(known.number), layout.journal_key(known.number + 1)]
            last, following = self._values(keys)
            if last is None or _sealed(last) != known.seal:
                news = self._after(START)
                return News(news.position, news.entries, anew=True)
            if following is None:
                return News(known, ())
        return self._after(known)

    def append(
        self,
        *,
        packs: Iterable[str] = (),
        records: Iterable[str] = (),
        gone: Iterable[str] = (),
        known: Position = START,
    ) -> News:
        """Say that these came in. Gives what came after `known`, this entry the last of it."""
        entry = Entry(tuple(packs), tuple(records), tuple(gone))
        value = _encoded(entry)
        news = self.since(known)
        for attempt in range(ATTEMPTS):
            number = news.position.number + 1
            if self._backend.create(layout.journal_key(number), value):
                if number % SPAN == 0:
                    self._consolidate(number)
                position = Position(number, _sealed(value))
                return News(position, (*news.entries, entry), news.anew)
            # Not all at the same moment again; `random` itself takes long to import.
            time.sleep(os.urandom(1)[0] / 255 * 0.02 * min(attempt + 1, 10))
            more = self._after(news.position)
            news = News(more.position, news.entries + more.entries, news.anew)
        raise StoreError(
            f"Others keep writing the journal of {self._backend.url}.", "Run the same again."
        )

    def _after(self, known: Position) -> News:
        """Follow the numbers from a position to the end."""
        found: list[Entry] = []
        number, seal, ahead = known.number, known.seal, 1
        while True:
            lengths = [length for length in LENGTHS if number % length == 0]
            keys = [layout.span_key(number + 1, length) for length in lengths]
            keys += [layout.journal_key(number + step) for step in range(1, ahead + 1)]
            values = self._values(keys)
            for length, value in zip(lengths, values, strict=False):
                span = _span(value, length)
                if span is not None:
                    entries, seal = span
                    found += entries
                    number += length
                    break
            else:
                for value in values[len(lengths) :]:
                    if value is None:
                        return News(Position(number, seal), tuple(found))
                    found.append(_decoded(value))
                    seal = _sealed(value)
                    number += 1
                    if number % SPAN == 0:
                        break  # a span may go on from here
                ahead = min(ahead * 4, THREADS)

    def _consolidate(self, last: int) -> None:
        """Write the spans that end with this number. Where an entry is missing, there is none."""
        for length in reversed(LENGTHS):
            if last % length:
                return
            first = last - length + 1
            entries: list[Entry] = []
            seal = ""
            if length == SPAN:
                values = self._values([layout.journal_key(n) for n in range(first, last + 1)])
                whole = [value for value in values if value is not None]
                if len(whole) < length:
                    return
                entries, seal = [_decoded(value) for value in whole], _sealed(whole[-1])
            else:
                keys = [layout.span_key(n, SPAN) for n in range(first, last + 1, SPAN)]
                for value in self._values(keys):
                    span = _span(value, SPAN)
                    if span is None:
                        return
                    entries += span[0]
                    seal = span[1]
            written = {"format": FORMAT, "seal": seal, "entries": [_loose(e) for e in entries]}
            value = sealed(json.dumps(written, separators=(",", ":")).encode())
            self._backend.put(layout.span_key(first, length), value)

    def _values(self, keys: list[str]) -> list[bytes | None]:
        read: Callable[[str], bytes | None] = lambda key: self._backend.get(key, LARGEST)  # noqa: E731
        return each(read, keys, THREADS if self._backend.path is None else 1)


def sound(value: bytes) -> Entry | None:
    """The entry that these bytes are, as it was written; None where they aren't one."""
    return _parsed(value) if is_whole(value) else None


def is_sound(value: bytes) -> bool:
    """Whether these bytes are an entry of a journal, as it was written."""
    return sound(value) is not None


def is_span(value: bytes, length: int) -> bool:
    """Whether these bytes are so many entries in one, as they were written."""
    return _span(value, length) is not None and is_whole(value)


def entry_of(
    packs: Iterable[str] = (), records: Iterable[str] = (), gone: Iterable[str] = ()
) -> bytes:
    """The bytes of an entry, for one that is to be written again."""
    return _encoded(Entry(tuple(packs), tuple(records), tuple(gone)))


def _encoded(entry: Entry) -> bytes:
    return sealed(json.dumps({"format": FORMAT, **_loose(entry)}, separators=(",", ":")).encode())


def _loose(entry: Entry) -> dict[str, list[str]]:
    fields = {"packs": entry.packs, "records": entry.records, "gone": entry.gone}
    return {name: list(values) for name, values in fields.items() if values}


def _sealed(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


def _decoded(value: bytes) -> Entry:
    """The entry; one that is damaged or of a newer format counts as empty, but as there."""
    return _parsed(value) or Entry()


def _parsed(value: bytes) -> Entry | None:
    try:
        loose = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(loose, dict) or loose.get("format") != FORMAT:
        return None
    return _entry(loose)


def _entry(loose: Any) -> Entry | None:
    if not isinstance(loose, dict):
        return None
    fields: list[tuple[str, ...]] = []
    for name in ("packs", "records", "gone"):
        values = loose.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            return None
        fields.append(tuple(values))
    packs, records, gone = fields
    if not all(layout.is_digest(f"sha256:{name}") for name in packs):
        return None
    if not all(layout.is_key(key) for key in (*records, *gone)):
        return None
    return Entry(packs, records, gone)


def _span(value: bytes | None, length: int) -> tuple[list[Entry], str] | None:
    """The entries of a span and its last one's seal; None where it isn't there whole."""
    if value is None:
        return None
    try:
        loose = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(loose, dict) or loose.get("format") != FORMAT:
        return None
    items, seal = loose.get("entries"), loose.get("seal")
    if not isinstance(items, list) or len(items) != length or not isinstance(seal, str):
        return None
    entries = [_entry(item) for item in items]
    return None if None in entries else ([entry for entry in entries if entry is not None], seal)
