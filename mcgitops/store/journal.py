"""What came into a store, in the order in which it came: an append-only log without gaps.

Who knows it up to a number asks for the next one only, so nobody lists a bucket to learn what is
there. Entries are written once, by `create`, each under the number after the last. When 64 more are
there, they are written a second time as one span, and 64 spans as a longer one: whoever knows
nothing yet needs few requests. Garbage collection removes entries that a span says, once they are
old (`trim`); who knew the journal up to one of them finds his place in the span.

It is an aid and never the truth: on a service without conditional writes two writers in one instant
can write the same number, and one of the entries is lost; older versions wrote none. So what it
doesn't name is looked for in the store before it is called missing, and what it names may be gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Container, Iterable
from typing import Any

from mcgitops.deferred import dataclass
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
TRIM_SECONDS = 86_400.0
"""So old is a span before its entries go: nobody is still writing or reading just there."""
_ENTRY = re.compile(r"journal/(\d{10})\.json\Z")
_SPAN = re.compile(r"journal/spans/(\d{10})-(\d+)\.json\Z")


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
        if not known.number:
            return self._after(START)
        keys = [layout.journal_key(known.number), layout.journal_key(known.number + 1)]
        last, following = self._values(keys)
        if last is None and (rest := self._rest_of_span(known)) is not None:
            news = self._after(rest.position)
            return News(news.position, rest.entries + news.entries)
        if last is None or _sealed(last) != known.seal:
            news = self._after(START)
            return News(news.position, news.entries, anew=True)
        # After a whole span the next may be there as a span alone.
        if following is None and known.number % SPAN:
            return News(known, ())
        return self._after(known)

    def begun(self) -> bool:
        """Whether anybody wrote this journal."""
        keys = [layout.journal_key(1), layout.span_key(1, SPAN)]
        return len(self._backend.missing(keys)) < len(keys)

    def trim(self, seconds: float = TRIM_SECONDS) -> int:
        """Remove entries that a span says, which is older than `seconds`. Gives how many.

        The last 64 of them and more stay, since they are asked for most. An entry is read before it
        goes: where the span says something else, as two writers had the same number, what it lacks
        is said anew. May be killed, and done by several at once.
        """
        there = {entry.key: entry for entry in self._backend.entries("journal/")}
        last = max((number_of(key) or 0 for key in there), default=0)
        for end in range(SPAN, last + 1, SPAN):  # that nobody finished
            lengths = [length for length in LENGTHS if end % length == 0]
            if any(layout.span_key(end - length + 1, length) not in there for length in lengths):
                self._consolidate(end)
        until = time.time() - seconds
        trimmed = each(lambda one: self._trimmed(*one, until), _in_spans(there, last), THREADS)
        return sum(trimmed)

    def trimmable(self, seconds: float = TRIM_SECONDS) -> int:
        """How many entries `trim` would remove now, as far as nobody writes meanwhile.

        Changes nothing. Reads the spans whose entries are still there.
        """
        there = {entry.key: entry for entry in self._backend.entries("journal/")}
        last = max((number_of(key) or 0 for key in there), default=0)
        until = time.time() - seconds

        def counted(first: int, keys: dict[str, int]) -> int:
            value = self._backend.get(layout.span_key(first, SPAN), LARGEST)
            written = _written_at(value)
            return len(keys) if written is not None and written <= until else 0

        return sum(each(lambda one: counted(*one), _in_spans(there, last), THREADS))

    def _trimmed(self, first: int, keys: dict[str, int], until: float) -> int:
        """Remove entries (key → place in the span from `first` on), the first one first.

        So whoever knows the journal up to an entry that is there finds the next one there as well.
        """
        value = self._backend.get(layout.span_key(first, SPAN), LARGEST)
        said = _span(value, SPAN)
        if said is None or value is None or not is_whole(value):
            return 0
        written = _written_at(value)
        if written is None:  # by an older version: this one says when
            self._consolidate(first + SPAN - 1)
        if written is None or written > until:
            return 0
        for value, place in zip(self._values(list(keys)), keys.values(), strict=True):
            more = _without(_decoded(value), said[place]) if value is not None else None
            if more:
                self.append(packs=more.packs, records=more.records, gone=more.gone)
        for key in keys:
            self._backend.delete(key)
        return len(keys)

    def _rest_of_span(self, known: Position) -> News | None:
        """What the span of a position says after it; None where the position isn't in it."""
        place = (known.number - 1) % SPAN
        first = known.number - place
        said = _span(self._backend.get(layout.span_key(first, SPAN), LARGEST), SPAN)
        if said is None or _seal_of(said[place]) != known.seal:
            return None
        end = Position(first + SPAN - 1, _seal_of(said[-1]))
        return News(end, tuple(said[place + 1 :]))

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
        number, seal, ahead, reach = known.number, known.seal, 1, 1
        while True:
            places = [(number + 1, length) for length in LENGTHS if number % length == 0]
            if places:  # several of the short ones at once, up to where a longer one may begin
                left = (LENGTHS[0] - number % LENGTHS[0]) // SPAN
                places += [(number + 1 + SPAN * n, SPAN) for n in range(1, min(reach, left))]
            keys = [layout.span_key(*place) for place in places]
            keys += [layout.journal_key(number + step) for step in range(1, ahead + 1)]
            values = self._values(keys)
            came = number
            for (first, length), value in zip(places, values, strict=False):
                span = _span(value, length) if first == came + 1 else None
                if span is not None:
                    found += span
                    seal = _seal_of(span[-1])
                    came += length
            if came > number:
                number, reach = came, min(reach * 4, THREADS)
                continue
            for value in values[len(places) :]:
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
            if length == SPAN:
                entries = self._entries(first)
                if not entries and self._backend.missing([layout.span_key(first, SPAN)]):
                    return
            else:
                keys = [layout.span_key(n, SPAN) for n in range(first, last + 1, SPAN)]
                spans = [_span(value, SPAN) for value in self._values(keys)]
                if None in spans:
                    return
                entries = [entry for span in spans for entry in span or ()]
            if entries:
                self._backend.put(layout.span_key(first, length), span_of(entries))

    def _entries(self, first: int) -> list[Entry]:
        """The entries of a span, from number `first` on; none where one is missing."""
        keys = [layout.journal_key(number) for number in range(first, first + SPAN)]
        whole = [value for value in self._values(keys) if value is not None]
        return [_decoded(value) for value in whole] if len(whole) == SPAN else []

    def _values(self, keys: list[str]) -> list[bytes | None]:
        read: Callable[[str], bytes | None] = lambda key: self._backend.get(key, LARGEST)  # noqa: E731
        return each(read, keys, THREADS if self._backend.path is None else 1)


def sound(value: bytes) -> Entry | None:
    """The entry that these bytes are, as it was written; None where they aren't one."""
    return _parsed(value) if is_whole(value) else None


def is_sound(value: bytes) -> bool:
    """Whether these bytes are an entry of a journal, as it was written."""
    return sound(value) is not None


def entry_of(
    packs: Iterable[str] = (), records: Iterable[str] = (), gone: Iterable[str] = ()
) -> bytes:
    """The bytes of an entry, for one that is to be written again."""
    return _encoded(Entry(tuple(packs), tuple(records), tuple(gone)))


def span_of(entries: Iterable[Entry]) -> bytes:
    """The bytes of a span that is written now: `at`, in seconds since 1970."""
    loose = [_loose(entry) for entry in entries]
    written = {"format": FORMAT, "at": int(time.time()), "entries": loose}
    return sealed(json.dumps(written, separators=(",", ":")).encode())


def entries_of(value: bytes, length: int) -> list[Entry] | None:
    """The entries of a span, as they were written; None where these bytes aren't one."""
    return _span(value, length) if is_whole(value) else None


def number_of(key: str) -> int | None:
    """The number of the entry that has this key; None where it is no entry's."""
    match = _ENTRY.match(key)
    return int(match[1]) if match else None


def span_at(key: str) -> tuple[int, int] | None:
    """The number of the first entry of the span that has this key, and how many it has."""
    match = _SPAN.match(key)
    return (int(match[1]), int(match[2])) if match else None


def _encoded(entry: Entry) -> bytes:
    return sealed(json.dumps({"format": FORMAT, **_loose(entry)}, separators=(",", ":")).encode())


def _loose(entry: Entry) -> dict[str, list[str]]:
    fields = {"packs": entry.packs, "records": entry.records, "gone": entry.gone}
    return {name: list(values) for name, values in fields.items() if values}


def _sealed(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


def _seal_of(entry: Entry) -> str:
    """The seal of an entry that is known from a span: it was written just so."""
    return _sealed(_encoded(entry))


def _without(entry: Entry, said: Entry) -> Entry:
    """What an entry says, and another one doesn't."""
    packs, records, gone = set(said.packs), set(said.records), set(said.gone)
    return Entry(
        tuple(name for name in entry.packs if name not in packs),
        tuple(key for key in entry.records if key not in records),
        tuple(key for key in entry.gone if key not in gone),
    )


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


def _in_spans(there: Container[str], last: int) -> list[tuple[int, dict[str, int]]]:
    """Entries that a span says as well, but for the last ones.

    there: the keys of a journal; last: its last number. Gives for each span the number of its
    first entry, and the entries that are still there: key → place in the span.
    """
    found = []
    for first in range(1, last - 2 * SPAN + 2, SPAN):
        keys = {layout.journal_key(n): n - first for n in range(first, first + SPAN)}
        keys = {key: place for key, place in keys.items() if key in there}
        if keys and layout.span_key(first, SPAN) in there:
            found.append((first, keys))
    return found


def _written_at(value: bytes | None) -> int | None:
    """When a whole span was written, in seconds since 1970; None for another one or an older's."""
    if value is None or not is_whole(value) or _span(value, SPAN) is None:
        return None
    written = json.loads(value).get("at")
    return written if isinstance(written, int) else None


def _span(value: bytes | None, length: int) -> list[Entry] | None:
    """The entries of a span; None where it isn't there whole."""
    if value is None:
        return None
    try:
        loose = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(loose, dict) or loose.get("format") != FORMAT:
        return None
    items = loose.get("entries")
    if not isinstance(items, list) or len(items) != length:
        return None
    entries = [_entry(item) for item in items]
    return None if None in entries else [entry for entry in entries if entry is not None]
