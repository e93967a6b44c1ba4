"""Everything that a store's records say: who refers to what. For `gc` and `verify` only.

Each record is read once and kept as a few words, so that a store with a hundred thousand of them
fits into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from datetime import datetime

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store import layout
from mcgitops.store.backend import Entry
from mcgitops.store.listing import read_listed
from mcgitops.store.records import (
    CommitRecord,
    DeploymentRecord,
    Record,
    ReleaseRecord,
    RunRecord,
    WantedRecord,
)
from mcgitops.store.store import LARGEST_RECORD, Store
from mcgitops.store.threads import THREADS, each
from mcgitops.store.transfer import image_objects, references, run_keys

KINDS = ("runs", "attempts", "commits", "releases", "deployments", "wanted")
"""The first segments of the keys that hold records."""

OnCount = Callable[[int], None]
"""Called with how many records were read by now."""


@dataclass(frozen=True)
class Noted:
    """A record, as far as it matters who refers to what.

    `at`: seconds since 1970 when what it tells of began; `modified`: when it was written, where the
    store's listing says so. `runs`: the keys of the runs that it names. `files`: digest, size in
    bytes (None where the record doesn't say), and what people call it.
    """

    key: str
    kind: str
    project: str
    stage: str
    label: str
    at: float
    size: int = 0
    modified: float | None = None
    commits: tuple[str, ...] = ()
    release: str = ""
    runs: tuple[str, ...] = ()
    files: tuple[tuple[str, int | None, str], ...] = ()


@dataclass(frozen=True)
class Survey:
    """All records of a store, and the sentences about those that can't be read."""

    records: tuple[Noted, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)  # key → what is wrong with it

    def by_key(self) -> dict[str, Noted]:
        """Key → record."""
        return {record.key: record for record in self.records}


def survey(
    store: Store,
    known: Survey | None = None,
    told: OnCount | None = None,
    *,
    fresh: bool = False,
) -> Survey:
    """Read all records of a store. What `known` has of them is taken from there: they don't change.

    What couldn't be read the last time is read again. `fresh`: nothing comes from a cache.
    """
    before = known.by_key() if known is not None else {}
    unreadable: dict[str, str] = {}
    threads = 1 if store.is_local else THREADS
    count = 0

    def read(entries: Sequence[Entry]) -> list[Noted | str | None]:
        nonlocal count
        new = [entry for entry in entries if entry.key not in before]
        fetched = each(lambda entry: _read(store, entry, fresh=fresh), new, threads)
        answers = {entry.key: answer for entry, answer in zip(new, fetched, strict=True)}
        unreadable.update((key, one) for key, one in answers.items() if isinstance(one, str))
        found = [before.get(entry.key) or answers[entry.key] for entry in entries]
        count += sum(isinstance(one, Noted) for one in found)
        if told is not None:
            told(count)
        return found

    found = read_listed(store.backend, [f"{kind}/" for kind in KINDS], layout.is_json, read)
    return Survey(tuple(one for one in found if isinstance(one, Noted)), unreadable)


def is_record_key(key: str) -> bool:
    """Whether a record of ours can have this key."""
    return key.split("/")[0] in KINDS and layout.is_json(key)


def noted(record: Record, entry: Entry) -> Noted:
    """A record as the survey keeps it."""
    files = tuple((file.digest, file.size, file.path) for file in references(record))
    kind = entry.key.split("/")[0]
    match record:
        case RunRecord():
            return Noted(
                entry.key, kind, record.project, record.stage,
                f"{'run' if kind == 'runs' else 'attempt'} {record.fingerprint[:12]} of "
                f"{record.stage}",
                _seconds(record.started), entry.size, entry.modified,
                commits=(record.commit,) if record.commit else (),
                runs=run_keys(record),
                files=files,
            )  # fmt: skip
        case CommitRecord():
            return Noted(
                entry.key, kind, record.project, record.stage,
                f"commit {record.commit[:12]}, stage {record.stage}", 0.0,
                entry.size, entry.modified,
                commits=tuple(sha for sha in (record.commit, record.head) if sha),
                runs=run_keys(record),
            )  # fmt: skip
        case ReleaseRecord():
            images = tuple((digest, None, "a part of an image") for digest in image_objects(record))
            return Noted(
                entry.key, kind, record.project, "", f"release {record.name}",
                _seconds(record.created), entry.size, entry.modified,
                release=record.name,
                runs=run_keys(record),
                files=files + images,
            )  # fmt: skip
        case DeploymentRecord():
            return Noted(
                entry.key, kind, record.project, "", f"rollout {record.id} to {record.environment}",
                _seconds(record.started), entry.size, entry.modified, release=record.release,
            )  # fmt: skip
        case WantedRecord():
            return Noted(
                entry.key, kind, record.project, "",
                f"note {record.number} for the agents of {record.environment}",
                _seconds(record.released), entry.size, entry.modified, release=record.release,
            )  # fmt: skip
    raise TypeError(type(record).__name__)


def _read(store: Store, entry: Entry, *, fresh: bool) -> Noted | str | None:
    """A record; a sentence where it can't be read; None where it is gone since it was listed.

    A service that doesn't answer is no damage: that error goes up.
    """
    if entry.size > LARGEST_RECORD:
        return f"The record {entry.key} in {store.url} is too large to be one."
    value = store.value_of(entry, fresh=fresh)
    if value is None:
        return None
    try:
        return noted(store.decoded(entry.key, value), entry)
    except StoreError as error:
        return error.message


def _seconds(moment: datetime) -> float:
    """Seconds since 1970. A record from elsewhere may hold a time without a zone: taken as UTC."""
    from datetime import UTC

    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
