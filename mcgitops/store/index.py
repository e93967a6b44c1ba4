"""An index of a store's runs: what lists, filters and plots need, without reading records again.

A record never changes, so a row is right for as long as the store lists its key in the same
version. What the store lists is what there is; the index only spares the reading. It is one SQLite
file for each store, filled as records become known, shared by processes, and made anew where it is
damaged: whatever is wrong with it, the answer comes from the store.

A folder is listed each time. A bucket of many thousand records takes seconds to list, so where it
has a journal, that is asked for what came since; and the bucket is listed as well once the last
time is a while ago, since older programs wrote nothing into the journal, and an entry can be lost.

Rows are sealed with a checksum, since a damaged page of the file needn't be noticed by SQLite.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store import layout
from mcgitops.store.backend import Entry
from mcgitops.store.journal import START, Journal, Position
from mcgitops.store.threads import THREADS, each

if TYPE_CHECKING:
    import sqlite3

    from mcgitops.store.records import RunRecord, Scalar
    from mcgitops.store.store import Store

_COMMITS = "commits/"
FORMAT = 1
"""Part of the file's name: programs that keep other rows keep another file."""
LOOSE = "-"
"""The version of a row that was asked for by name: nobody followed the journal up to it. One that
came by the journal has "" instead."""
BATCH = 500
"""Records that are read before they are saved: what an interruption loses."""
BUSY_SECONDS = 5.0
MANY = 2000
"""Runs of a stage: from so many on a bucket is listed in parts."""
LISTED_SECONDS = 600.0
"""So long the journal alone is asked what is new in a bucket; then it is listed again."""
MARKS = 500
"""Rows that are asked for at once; SQLite may be built to allow no more than 999."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS head (
  key TEXT PRIMARY KEY, version TEXT NOT NULL, stage TEXT NOT NULL, fingerprint TEXT NOT NULL,
  state TEXT NOT NULL, started REAL NOT NULL, commit_id TEXT NOT NULL, seal INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS body (
  key TEXT PRIMARY KEY, content TEXT NOT NULL, seal INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS commits (
  key TEXT PRIMARY KEY, runs TEXT NOT NULL, seal INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
  name TEXT PRIMARY KEY, number INTEGER NOT NULL, mark TEXT NOT NULL, listed REAL NOT NULL,
  content TEXT NOT NULL, seal INTEGER NOT NULL
)
"""

OnProgress = Callable[[int, int], None]
"""Called with how many records were read, and how many are to be."""
Answer = TypeVar("Answer")


class Head(NamedTuple):
    """What a run is found and sorted by. `started`: seconds since 1970."""

    key: str
    version: str
    stage: str
    fingerprint: str
    state: str
    started: float
    commit: str


class Seen(NamedTuple):
    """Up to where a bucket's journal was followed, and when the bucket itself was listed last.

    listed: seconds since 1970. content: of a project's runs how many there are, else their names.
    """

    name: str
    number: int
    mark: str
    listed: float
    content: str

    @property
    def position(self) -> Position:
        """The place in the journal."""
        return Position(self.number, self.mark)


@dataclass(frozen=True)
class IndexedRun:
    """A run or a failed attempt, as far as lists go. Seconds and bytes; None where not known."""

    key: str
    stage: str
    fingerprint: str
    state: str
    started: datetime
    commit: str = ""
    dirty: bool = False
    exit_code: int | None = None
    matrix: Mapping[str, str] = field(default_factory=dict)
    replicate: Mapping[str, str] = field(default_factory=dict)
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    image_size: int | None = None
    outputs_size: int | None = None
    metrics: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """The combination: matrix and replicate."""
        return {**self.matrix, **self.replicate}


class RunIndex:
    """The runs of a project in a store, newest first."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        progress: OnProgress | None = None,
        *,
        refresh: bool = False,
    ) -> None:
        """folder: where the file may be kept. progress: told while many records are read.

        refresh: list a bucket in any case.
        """
        name = hashlib.sha256(store.url.encode()).hexdigest()[:16]
        self._store = store
        self._file = folder / f"runs{FORMAT}-{name}.sqlite"
        self._progress = progress
        self._refresh = refresh
        self._journal = Journal(store.backend)
        self._fresh: dict[str, str] = {}  # bodies that were read just now
        self.unreadable: list[str] = []
        """Sentences: records that are damaged or newer than this program. They are left out."""

    def heads(self, project: str, stage: str = "", *, attempts: bool = True) -> list[Head]:
        """All succeeded runs, and the attempts that failed; of one stage, or of all."""
        if not self._store.is_local:
            found = self._by_journal(project)
            if found is not None:
                return _newest_first(_of(found, stage, attempts=attempts))
        prefixes = [layout.runs_prefix(project, stage)]
        if attempts:
            prefixes.append(layout.attempts_prefix(project, stage))
        return _newest_first(self._listing(prefixes, stage, self._known(prefixes)))

    def _listing(
        self, prefixes: Sequence[str], stage: str, known: Mapping[str, Head]
    ) -> list[Head]:
        """What the store lists."""
        threads = 1 if self._store.is_local else THREADS
        found: dict[str, Head] = {}
        unknown: list[Entry] = []
        dated: list[Head] = []
        for entries in each(self._listed, self._parts_of(prefixes, stage, known), threads):
            for entry in entries:
                head = known.get(entry.key)
                if head is not None and head.version == entry.version:
                    found[entry.key] = head
                elif head is not None and head.version in ("", LOOSE):
                    found[entry.key] = head._replace(version=entry.version)
                    dated.append(found[entry.key])
                else:
                    unknown.append(entry)
        self._forget(known.keys() - found.keys())
        self._date(dated)
        for head in self._read_all(unknown):
            found[head.key] = head
        return list(found.values())

    # a bucket with a journal

    def _by_journal(self, project: str) -> list[Head] | None:
        """All runs and attempts of a project in a bucket; None where it has no journal.

        Asks the journal for what is new. The bucket is listed where that isn't enough: the first
        time, where the last time is long ago, where rows were lost, where it was begun anew.
        """
        prefixes = (layout.runs_prefix(project), layout.attempts_prefix(project))
        rows = self._known(prefixes)
        known = {key: head for key, head in rows.items() if head.version != LOOSE}
        seen = self._seen(prefixes[0])
        news = None
        if seen is not None and seen.content == str(len(known)):
            news = self._journal.since(seen.position)
        if seen is None or news is None or news.anew:
            position = self._journal.since(START).position
            if not position.number:
                return None
            heads = self._listing(prefixes, "", rows)
            if not self.unreadable:  # else it is said the next time, too
                self._note(prefixes[0], position, time.time(), str(len(heads)))
            return heads
        if not news.entries:
            return list(known.values())
        unknown: dict[str, Entry] = {}
        for entry in news.entries:
            for key in entry.gone:
                unknown.pop(key, None)
            self._forget(key for key in entry.gone if known.pop(key, None) or rows.pop(key, None))
            unknown |= {
                key: Entry(key, 0, "")
                for key in entry.records
                if key.startswith(prefixes) and key.endswith(".json") and key not in known
            }
        loose = [rows[key]._replace(version="") for key in unknown if key in rows]
        self._date(loose)
        known |= {head.key: head for head in loose}
        unread = [entry for key, entry in unknown.items() if key not in rows]
        known |= {head.key: head for head in self._read_all(unread)}
        if not self.unreadable:
            self._note(prefixes[0], news.position, seen.listed, str(len(known)))
        return list(known.values())

    def remembered(self, project: str) -> list[Head]:
        """What was known the last time, without asking the store."""
        prefixes = (layout.runs_prefix(project), layout.attempts_prefix(project))
        return _newest_first(self._known(prefixes).values())

    def runs(self, heads: Sequence[Head]) -> list[IndexedRun]:
        """The runs of these heads, in their order."""
        contents = self._bodies([head.key for head in heads if head.key not in self._fresh])
        contents |= self._fresh
        found = {head.key: _run(head, contents.get(head.key, "")) for head in heads}
        damaged = [head for head in heads if found[head.key] is None]
        # read again, side by side as well
        for head in self._read_all([Entry(head.key, 0, head.version) for head in damaged]):
            found[head.key] = _run(head, self._fresh[head.key])
        runs = (found[head.key] for head in heads)
        return [run for run in runs if run is not None]  # others are gone since, or were named

    def commits(
        self, project: str, wanted: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], tuple[str, ...]]:
        """The runs' fingerprints of commits, by commit and stage, of those that have a record."""
        keys = {layout.commit_key(sha, project, stage): (sha, stage) for sha, stage in wanted}
        known = self._known_commits(list(keys))
        unknown = [key for key in keys if key not in known]
        records = each(self._read_commit, unknown, 1 if self._store.is_local else THREADS)
        fresh = {key: runs for key, runs in zip(unknown, records, strict=True) if runs is not None}
        self._save_commits(fresh)
        return {keys[key]: runs for key, runs in (known | fresh).items()}

    def named(
        self, project: str, wanted: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], IndexedRun]:
        """The succeeded runs of these stages and fingerprints, as far as there are any.

        Nothing is listed: what isn't known is read.
        """
        keys = {layout.run_key(project, stage, run): (stage, run) for stage, run in wanted}
        heads = self._known_at(list(keys))
        unknown = [Entry(key, 0, LOOSE) for key in keys if key not in heads]
        heads |= {head.key: head for head in self._read_all(unknown)}
        return {keys[run.key]: run for run in self.runs(list(heads.values()))}

    def commit_ids(self) -> frozenset[str]:
        """The commits that have a record in the store, of any project."""
        if self._store.is_local:
            return frozenset(self._store.backend.folders(_COMMITS))
        seen = self._seen(_COMMITS)
        news = self._journal.since(seen.position) if seen is not None else None
        if seen is None or news is None or news.anew:
            position = self._journal.since(START).position
            found = frozenset(self._store.backend.folders(_COMMITS))
            if position.number:
                self._note(_COMMITS, position, time.time(), " ".join(sorted(found)))
            return found
        found = frozenset(seen.content.split())
        keys = (key for entry in news.entries for key in entry.records)
        more = {key.split("/")[1] for key in keys if key.startswith(_COMMITS)} - found
        if more:
            found |= more
            self._note(_COMMITS, news.position, seen.listed, " ".join(sorted(found)))
        return found

    # the store

    def _read_commit(self, key: str) -> tuple[str, ...] | None:
        try:
            record: Any = self._store.record_at(key)
        except StoreError as error:
            self.unreadable.append(str(error))
            return None
        return None if record is None else record.runs

    def _parts_of(
        self, prefixes: Sequence[str], stage: str, known: Mapping[str, Head]
    ) -> list[tuple[str, str]]:
        """What to list: prefixes, and what keys go on with.

        A bucket gives a thousand keys a request, one request after the other. Where a stage is
        known to have many, sixteen are asked for side by side, by the fingerprint's first digit.
        """
        if self._store.is_local or len(known) < MANY:
            return [(prefix, "") for prefix in prefixes]
        found = []
        for prefix in prefixes:
            folders = [""] if stage else [f"{one}/" for one in self._store.backend.folders(prefix)]
            for place in (prefix + folder for folder in folders):
                many = sum(key.startswith(place) for key in known) >= MANY
                found += [(place, digit) for digit in "0123456789abcdef"] if many else [(place, "")]
        return found

    def _listed(self, part: tuple[str, str]) -> list[Entry]:
        return list(self._store.record_entries(*part))

    def _read_all(self, entries: Sequence[Entry]) -> Iterator[Head]:
        """Read records that the index doesn't know, and save them, batch by batch."""
        threads = 1 if self._store.is_local else THREADS
        for start in range(0, len(entries), BATCH):
            rows = each(self._read, entries[start : start + BATCH], threads)
            good = [row for row in rows if row is not None]
            self._save(good)
            for head, content in good:
                self._fresh[head.key] = content
                yield head
            if self._progress is not None:
                self._progress(min(start + BATCH, len(entries)), len(entries))

    def _read(self, entry: Entry) -> tuple[Head, str] | None:
        try:
            record: Any = self._store.record_at(entry.key)
        except StoreError as error:
            self.unreadable.append(str(error))
            return None
        return None if record is None else _rows(record, entry.key, entry.version)

    # the file

    def _known(self, prefixes: Iterable[str]) -> dict[str, Head]:
        def look(connection: sqlite3.Connection) -> dict[str, Head]:
            found = {}
            for prefix in prefixes:
                rows = connection.execute(
                    "SELECT key, version, stage, fingerprint, state, started, commit_id, seal "
                    "FROM head WHERE key >= ? AND key < ?",
                    (prefix, prefix + "\x7f"),  # keys are ASCII without it
                )
                for *values, seal in rows:
                    if _seal(values) == seal:
                        found[values[0]] = Head(*values)
            return found

        return self._with_file(look, {}, only_if_there=True)

    def _known_at(self, keys: Sequence[str]) -> dict[str, Head]:
        def look(connection: sqlite3.Connection) -> dict[str, Head]:
            found = {}
            for some, marks in _parts(keys):
                rows = connection.execute(
                    "SELECT key, version, stage, fingerprint, state, started, commit_id, seal "  # noqa: S608
                    f"FROM head WHERE key IN ({marks})",
                    some,
                )
                for *values, seal in rows:
                    if _seal(values) == seal:
                        found[values[0]] = Head(*values)
            return found

        return self._with_file(look, {}, only_if_there=True) if keys else {}

    def _bodies(self, keys: Sequence[str]) -> dict[str, str]:
        def look(connection: sqlite3.Connection) -> dict[str, str]:
            found: dict[str, str] = {}
            for some, marks in _parts(keys):
                rows = connection.execute(
                    f"SELECT key, content, seal FROM body WHERE key IN ({marks})",  # noqa: S608
                    some,
                )
                found.update((key, text) for key, text, seal in rows if _seal((key, text)) == seal)
            return found

        return self._with_file(look, {}, only_if_there=True) if keys else {}

    def _save(self, rows: Sequence[tuple[Head, str]]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    ((*head, _seal(head)) for head, _ in rows),
                )
                connection.executemany(
                    "INSERT OR REPLACE INTO body VALUES (?, ?, ?)",
                    ((head.key, text, _seal((head.key, text))) for head, text in rows),
                )

        if rows:
            self._with_file(write, None)

    def _known_commits(self, keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
        def look(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
            found = {}
            for some, marks in _parts(keys):
                rows = connection.execute(
                    f"SELECT key, runs, seal FROM commits WHERE key IN ({marks})",  # noqa: S608
                    some,
                )
                for key, runs, seal in rows:
                    if _seal((key, runs)) == seal:
                        found[key] = tuple(runs.split(" "))
            return found

        return self._with_file(look, {}, only_if_there=True) if keys else {}

    def _save_commits(self, found: Mapping[str, tuple[str, ...]]) -> None:
        rows = [(key, " ".join(runs)) for key, runs in found.items() if runs]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO commits VALUES (?, ?, ?)",
                    ((*row, _seal(row)) for row in rows),
                )

        if rows:
            self._with_file(write, None)

    def _date(self, heads: Sequence[Head]) -> None:
        """Note the version of records that were known without one."""

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(
                    "UPDATE head SET version = ?, seal = ? WHERE key = ?",
                    ((head.version, _seal(head), head.key) for head in heads),
                )

        if heads:
            self._with_file(write, None)

    def _seen(self, name: str) -> Seen | None:
        """How far the journal was followed; None where the bucket is to be listed (again)."""

        def look(connection: sqlite3.Connection) -> Seen | None:
            rows = connection.execute(
                "SELECT name, number, mark, listed, content, seal FROM seen WHERE name = ?", (name,)
            )
            for *values, seal in rows:
                if _seal(values) == seal:
                    return Seen(*values)
            return None

        seen = None if self._refresh else self._with_file(look, None, only_if_there=True)
        if seen is None or not 0 <= time.time() - seen.listed < LISTED_SECONDS:
            return None
        return seen

    def _note(self, name: str, position: Position, listed: float, content: str) -> None:
        row = Seen(name, position.number, position.seal, listed, content)

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute(
                    "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)", (*row, _seal(row))
                )

        self._with_file(write, None)

    def _forget(self, keys: Iterable[str]) -> None:
        gone = [(key,) for key in keys]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("DELETE FROM head WHERE key = ?", gone)
                connection.executemany("DELETE FROM body WHERE key = ?", gone)

        if gone:
            self._with_file(write, None)

    def _with_file(
        self,
        work: Callable[[sqlite3.Connection], Answer],
        otherwise: Answer,
        *,
        only_if_there: bool = False,
    ) -> Answer:
        """Do something with the file. A damaged one is removed, and none is done without."""
        if only_if_there and not self._file.exists():
            return otherwise
        import sqlite3

        try:
            with closing(self._connect()) as connection:
                return work(connection)
        except (sqlite3.OperationalError, OSError):
            return otherwise  # busy, or a place that can't be written
        except (sqlite3.Error, TypeError, UnicodeError):
            with suppress(OSError):
                self._file.unlink()
            return otherwise

    def _connect(self) -> sqlite3.Connection:
        import sqlite3

        if not self._file.exists():
            self._file.parent.mkdir(parents=True, exist_ok=True)
            (self._file.parent / ".gitignore").write_text("*\n")
        connection = sqlite3.connect(self._file, timeout=BUSY_SECONDS)
        try:
            # a lost row costs one read, so nothing waits for the disk
            connection.execute("PRAGMA synchronous=OFF")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection


def _parts(keys: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """Some of the keys at a time, and as many question marks."""
    for start in range(0, len(keys), MARKS):
        some = keys[start : start + MARKS]
        yield some, ",".join("?" * len(some))


def _of(heads: Iterable[Head], stage: str, *, attempts: bool) -> Iterator[Head]:
    """The heads of one stage, or of all; those of failed attempts or not."""
    for head in heads:
        if stage in ("", head.stage) and (attempts or head.state == "succeeded"):
            yield head


def _newest_first(heads: Iterable[Head]) -> list[Head]:
    return sorted(heads, key=lambda head: (head.started, head.key), reverse=True)


def _seal(values: Iterable[Any]) -> int:
    return zlib.crc32(repr(tuple(values)).encode("utf-8", "backslashreplace"))


def _rows(record: RunRecord, key: str, version: str) -> tuple[Head, str]:
    cost = record.resources
    outputs = sum(file.size for file in record.outputs) if record.outputs else None
    content = [
        record.dirty, record.exit_code, record.matrix, record.replicate,
        cost.wall_seconds, cost.cpu_seconds, cost.peak_memory_bytes,
        record.image.size, outputs, record.metrics, record.params,
    ]  # fmt: skip
    head = Head(
        key, version, record.stage, record.fingerprint, record.state,
        record.started.timestamp(), record.commit,
    )  # fmt: skip
    return head, json.dumps(content)


def _run(head: Head, content: str) -> IndexedRun | None:
    """The run of a row; None where the row is no such thing."""
    try:
        dirty, code, matrix, replicate, wall, cpu, peak, image, outputs, metrics, params = (
            json.loads(content)
        )
    except (ValueError, TypeError):
        return None
    return IndexedRun(
        head.key, head.stage, head.fingerprint, head.state,
        datetime.fromtimestamp(head.started, UTC), head.commit,
        dirty, code, matrix, replicate, wall, cpu, peak, image, outputs, metrics, params,
    )  # fmt: skip
