"""The store as the rest of the program sees it: typed records and verified objects.

Nothing here knows whether it is a folder or a bucket, and nothing of a bucket's client is imported
before a bucket is opened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

from mcgitops.errors import StoreError, UsageError
from mcgitops.store import layout
from mcgitops.store.backend import Backend, Entry
from mcgitops.store.cache import RecordCache
from mcgitops.store.folder import FolderBackend
from mcgitops.store.listing import read_listed
from mcgitops.store.objects import Objects
from mcgitops.store.pushed import record_keys
from mcgitops.store.records import (
    FORMAT,
    CommitRecord,
    DeploymentRecord,
    Record,
    ReleaseRecord,
    RunRecord,
    WantedRecord,
)
from mcgitops.store.seals import is_sealed, is_whole, sealed
from mcgitops.store.threads import THREADS, each

LARGEST_RECORD = 256 * 1024 * 1024
"""Bytes: a run with a million files has 150 MB and more. What is larger is not written at all."""
FEW = 50_000
"""Files of a run whose record is small enough in any case: a path has 4096 bytes at most."""
REMEMBERED = 64
"""Runs that a store keeps in memory: planning and reporting ask for the same ones."""
_GOOD_COPY = "Run mcgitops verify --repair: it takes a good copy from wherever there is one."
AnyRecord = TypeVar("AnyRecord", bound=Record)


def open_store(url: str, cache: Path | None = None) -> Store:
    """Open a store: a folder's path, `file:///…` or `s3://bucket/prefix?…`. Contacts nothing yet.

    `cache` is a folder that may keep copies of a bucket's records, so that listing them again
    needn't fetch them again.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        return Store(FolderBackend(Path(url).expanduser()))
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise UsageError(f'"{url}" is not absolute.', "Write file:///folder.")
        return Store(FolderBackend(Path(unquote(parts.path))))
    if scheme == "s3":
        from mcgitops.store.s3 import open_bucket

        return Store(open_bucket(url), cache)
    raise UsageError(f"{scheme}:// is not known as a store.", "Write a folder or s3://….")


class Store:
    """Records and objects. Writes are whole or not at all; what is read has been verified."""

    def __init__(self, backend: Backend, cache: Path | None = None) -> None:
        self.backend = backend
        self.objects = Objects(backend, cache / "packs" if cache else None)
        self._runs: dict[str, RunRecord] = {}
        self._cache = RecordCache(cache, backend.url) if cache and not self.is_local else None

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        return self.backend.url

    @property
    def path(self) -> Path | None:
        """The folder, where it is one."""
        return self.backend.path

    @property
    def is_local(self) -> bool:
        """Whether it is a folder."""
        return self.backend.path is not None

    # runs

    def run(self, project: str, stage: str, fingerprint: str) -> RunRecord | None:
        """The succeeded run with this fingerprint. One that was read lately is not read again."""
        key = layout.run_key(project, stage, fingerprint)
        found = self._runs.get(key) or self._read(key, RunRecord)
        if found is not None and len(self._runs) < REMEMBERED:
            self._runs[key] = found  # records never change
        return found

    def existing_run(self, project: str, stage: str, fingerprint: str) -> RunRecord:
        """The run that a commit or release names; an error where the store lost it."""
        found = self.run(project, stage, fingerprint)
        if found is None:
            raise StoreError(
                f"{self.url} has no run {fingerprint[:12]} of {stage}, though a record names it.",
                "Push it again from where it was made, or train again.",
            )
        return found

    def find(self, project: str, prefix: str) -> list[RunRecord]:
        """The runs and attempts whose fingerprint starts with `prefix`, newest first."""
        found = []
        for top in (layout.runs_prefix(project), layout.attempts_prefix(project)):
            for stage in self.backend.folders(top):
                for entry in self.record_entries(f"{top}{stage}/", prefix):
                    record = self._read(entry.key, RunRecord)
                    found += [record] if record else []
        return sorted(found, key=lambda run: run.started, reverse=True)

    def publish(self, record: RunRecord) -> RunRecord:
        """Publish a succeeded run, last of all that belongs to it; the first published wins.

        Gives the record that is now in the store: this one, or the one that was there.
        """
        if record.state != "succeeded":
            raise ValueError(f"a run that {record.state} is an attempt")
        if self.is_local and (lost := self.missing(file.digest for file in record.files)):
            raise StoreError(f"The run's object {min(lost)} is not in {self.url}.")
        return self._create(key_of(record), record)

    def attempt(self, record: RunRecord) -> None:
        """Keep the record of a run that did not succeed."""
        if record.state == "succeeded":
            raise ValueError("a run that succeeded is published")
        self.backend.create(key_of(record), _encoded(record))

    def runs(self, project: str, stage: str = "") -> Iterator[RunRecord]:
        """All succeeded runs, newest first."""
        return self._newest_first(layout.runs_prefix(project, stage), RunRecord)

    def attempts(self, project: str, stage: str = "") -> Iterator[RunRecord]:
        """All runs that did not succeed, newest first."""
        return self._newest_first(layout.attempts_prefix(project, stage), RunRecord)

    # commits, releases, deployments

    def commit(self, sha: str, project: str, stage: str) -> CommitRecord | None:
        """Which runs a commit has, for one stage."""
        return self._read(layout.commit_key(sha, project, stage), CommitRecord)

    def commits(self, sha: str, project: str) -> list[CommitRecord]:
        """What is known of a commit, one record for each of its stages."""
        return self._all(layout.commit_prefix(sha, project), CommitRecord)

    def publish_commit(self, record: CommitRecord) -> CommitRecord:
        """Say which runs a commit has. The first one said stays; gives the one that is there."""
        return self._create(key_of(record), record)

    def release(self, project: str, name: str) -> ReleaseRecord | None:
        """A release by its name."""
        return self._read(layout.release_key(project, name), ReleaseRecord)

    def releases(self, project: str) -> Iterator[ReleaseRecord]:
        """All releases, newest first."""
        records = self._all(layout.releases_prefix(project), ReleaseRecord)
        return iter(sorted(records, key=lambda record: record.created, reverse=True))

    def publish_release(self, record: ReleaseRecord) -> bool:
        """Write a release. False where one of that name exists that pins something else."""
        return pins_the_same(self._create(key_of(record), record), record)

    def deployed(self, record: DeploymentRecord) -> None:
        """Record a rollout."""
        self.backend.create(key_of(record), _encoded(record))

    def deployments(self, project: str, environment: str) -> Iterator[DeploymentRecord]:
        """The rollouts to an environment, newest first."""
        records = self._all(layout.deployments_prefix(project, environment), DeploymentRecord)
        return iter(sorted(records, key=lambda record: record.started, reverse=True))

    def wanted(self, project: str, environment: str, known: int = 0) -> WantedRecord | None:
        """What an environment was last told to run, if that came after number `known`.

        Lists nothing: with a `known` number, one request says that there is nothing new.
        """

        def at(number: int) -> WantedRecord | None:
            return self._read(layout.wanted_key(project, environment, number), WantedRecord)

        found, low, stride = None, known, 1
        while (further := at(low + stride)) is not None:
            found, low, stride = further, low + stride, stride * 2
        high = low + stride  # the last one lies before it
        while high - low > 1:
            middle = (low + high) // 2
            if (further := at(middle)) is not None:
                found, low = further, middle
            else:
                high = middle
        return found

    def want(self, record: WantedRecord) -> WantedRecord:
        """Tell an environment what to run, unless it was told something newer.

        Gives what it is told now: this record with its number, or the newer one.
        """
        while True:
            last = self.wanted(record.project, record.environment)
            if last is not None and not record.is_newer_than(last):
                return last
            number = (last.number if last else 0) + 1
            numbered = record.model_copy(update={"number": number})
            if self.add(numbered):
                return numbered

    # objects

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file; gives digest and size."""
        return self.objects.put_file(path)

    def put_stream(self, stream: BinaryIO) -> tuple[str, int]:
        """Store what a stream gives; digest and size."""
        return self.objects.put_stream(stream)

    def put_bytes(self, value: bytes) -> tuple[str, int]:
        """Store bytes; digest and size."""
        return self.objects.put_bytes(value)

    def read_bytes(self, digest: str, limit: int | None = None) -> bytes:
        """A small object, verified. One larger than `limit` bytes is an error."""
        return self.objects.read_bytes(digest, limit)

    def open_object(self, digest: str) -> AbstractContextManager[BinaryIO]:
        """An object as a stream. A damaged one raises when the end is read, so read it all."""
        return self.objects.open(digest)

    def fetch(self, digest: str, target: Path, *, executable: bool = False) -> None:
        """Write an object to a file: verified, and whole or not at all."""
        self.objects.fetch(digest, target, executable=executable)

    def size(self, digest: str) -> int:
        """How many bytes an object has."""
        return self.objects.size(digest)

    def missing(self, digests: Iterable[str]) -> set[str]:
        """Those that the store lacks."""
        return self.objects.missing(digests)

    def put_page(self, key: str, page: bytes) -> None:
        """Write or replace a page for browsers, such as a report: no object and no record."""
        self.backend.put(key, page, "text/html; charset=utf-8")

    def signed_link(self, key: str, seconds: int, name: str = "") -> str:
        """An address at which everybody can read a key for so long; "" for a folder.

        name: what a browser is to save it as, where it isn't to be shown.
        """
        return self.backend.signed_link(key, seconds, name)

    def add(self, record: Record, source: Store | None = None) -> bool:
        """Write a record of any kind unless there is one; False where there was.

        source: a local store that it was read from, of which the bytes are taken as they are.
        """
        key = key_of(record)
        value = source and source.backend.get(key, LARGEST_RECORD)
        if not value or not is_sealed(value):
            value = _encoded(record)
        while not self.backend.create(key, value):
            if not self.is_local or self.backend.freshen(key) or not self.backend.missing([key]):
                return False
        return True

    def record_keys(self, project: str) -> list[str]:
        """The keys of all records of a project. Reads the whole store's list: for local ones."""
        return record_keys(self.backend, project)

    def record_at(self, key: str) -> Record | None:
        """The record at a key, of the kind that the key says."""
        return self._read(key, _KINDS[key.split("/")[0]])

    def value_of(self, entry: Entry, *, fresh: bool = False) -> bytes | None:
        """A listed record's bytes; None where it is gone since. `fresh`: not from the cache."""
        return self.backend.get(entry.key, LARGEST_RECORD) if fresh else self._value(entry)

    def decoded(self, key: str, value: bytes) -> Record:
        """The record that these bytes are; an error where they are none that belongs here."""
        return self._decoded(key, value, _KINDS[key.split("/")[0]])

    # records as bytes

    def _read(self, key: str, kind: type[AnyRecord]) -> AnyRecord | None:
        value = self.backend.get(key, LARGEST_RECORD)
        return None if value is None else self._decoded(key, value, kind)

    def _create(self, key: str, record: AnyRecord) -> AnyRecord:
        while not self.backend.create(key, _encoded(record)):
            self.backend.freshen(key)  # so that garbage collection leaves it
            if (there := self._read(key, type(record))) is not None:
                return there
        return record

    def _all(self, prefix: str, kind: type[AnyRecord]) -> list[AnyRecord]:
        def read(entries: Sequence[Entry]) -> list[AnyRecord | None]:
            values = each(self._value, entries, 1 if self.is_local else THREADS)
            return [
                None if value is None else self._decoded(entry.key, value, kind)
                for entry, value in zip(entries, values, strict=True)
            ]

        found = read_listed(self.backend, [prefix], layout.is_json, read)
        if self._cache is not None:
            self._cache.prune()
        return found

    def record_entries(self, prefix: str, starting: str = "") -> Iterator[Entry]:
        """What can be a record of ours below `prefix`, unread; others may have put other things."""
        for entry in self.backend.entries(prefix, starting):
            if layout.is_json(entry.key):
                yield entry

    def _value(self, entry: Entry) -> bytes | None:
        if self._cache is not None and (kept := self._cache.get(entry)) is not None:
            return kept
        value = self.backend.get(entry.key, LARGEST_RECORD)
        if self._cache is not None and value is not None:
            self._cache.put(entry, value)
        return value

    def _newest_first(self, prefix: str, kind: type[RunRecord]) -> Iterator[RunRecord]:
        return iter(sorted(self._all(prefix, kind), key=lambda run: run.started, reverse=True))

    def _decoded(self, key: str, value: bytes, kind: type[AnyRecord]) -> AnyRecord:
        place = f"{key} in {self.url}"
        try:
            loose = json.loads(value)
        except (ValueError, RecursionError):
            loose = None
        number = loose.get("format") if isinstance(loose, dict) else None
        if isinstance(number, int) and number > FORMAT and is_whole(value):
            raise StoreError(
                f"{place} was written by a newer mcgitops (format {number}, known: {FORMAT}).",
                "Upgrade mcgitops.",
            )
        try:
            record = kind.model_validate(loose)
            same = key_of(record) == key and is_whole(value)
        except (ValueError, StoreError):
            same = False
        if not same:
            raise StoreError(
                f"The record {place} is damaged.",
                _GOOD_COPY,
            )
        return record


def pins_the_same(one: ReleaseRecord, other: ReleaseRecord) -> bool:
    """Whether two releases differ at most in when, and with which version, they were made."""
    return one.model_copy({"created": other.created, "tool": other.tool}) == other


_KINDS: dict[str, type[Record]] = {
    "runs": RunRecord,
    "attempts": RunRecord,
    "commits": CommitRecord,
    "releases": ReleaseRecord,
    "deployments": DeploymentRecord,
    "wanted": WantedRecord,
}


def key_of(record: Record) -> str:
    """The key at which a record is kept."""
    if isinstance(record, RunRecord):
        if record.state == "succeeded":
            return layout.run_key(record.project, record.stage, record.fingerprint)
        return layout.attempt_key(
            record.project, record.stage, record.fingerprint, _attempt_id(record)
        )
    if isinstance(record, CommitRecord):
        return layout.commit_key(record.commit, record.project, record.stage)
    if isinstance(record, ReleaseRecord):
        return layout.release_key(record.project, record.name)
    if isinstance(record, DeploymentRecord):
        return layout.deployment_key(record.project, record.environment, record.id)
    if isinstance(record, WantedRecord):
        return layout.wanted_key(record.project, record.environment, record.number)
    raise TypeError(type(record).__name__)


def _attempt_id(record: RunRecord) -> str:
    """Sorts by time, and is the same for the same attempt: copying it twice is harmless."""
    digest = hashlib.sha256(f"{record.started.isoformat()} {record.state}".encode()).hexdigest()
    return f"{record.started:%Y%m%dT%H%M%S}-{digest[:12]}"


def check_size(record: RunRecord) -> None:
    """Raise `StoreError` where a run has so many files that no store takes its record."""
    if len(record.files) > FEW:
        _encoded(record)


def _encoded(record: Record) -> bytes:
    """A record as it is stored: JSON, sealed. One that nobody could read again is refused."""
    value = sealed(record.model_dump_json().encode())
    if len(value) > LARGEST_RECORD:
        files = f", with {len(record.files):,} files," if isinstance(record, RunRecord) else ""
        raise StoreError(
            f"The record {key_of(record)[:200]}{files} has {len(value):,} bytes, and a store takes "
            f"{LARGEST_RECORD:,} at most.",
            "Write fewer files, such as one archive of them, or declare fewer of them.",
        )
    return value
