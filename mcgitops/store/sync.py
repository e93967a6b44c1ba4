"""What `push` and `pull` move: which records, between the local store and the project's store."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store.records import CommitRecord, FileRef, Record
from mcgitops.store.store import Store
from mcgitops.store.transfer import CopyResult, OnProgress, copy_records, run_keys


def push(
    local: Store,
    remote: Store,
    project: str,
    cache: Path,
    *,
    again: bool = False,
    progress: OnProgress | None = None,
) -> CopyResult:
    """Copy all local records of a project that `remote` was not yet given, with their objects.

    Which ones it was given is noted in `cache`, so that with nothing new nothing is contacted.
    `again` doesn't trust the note: the bucket may have been emptied.
    """
    note = Pushed(cache, remote.url)
    keys = local.record_keys(project)
    given = set() if again else note.read()
    new = [key for key in keys if key not in given]
    if not new:
        return CopyResult(records_there=len(keys))
    records = _with_runs(local, new)
    result = copy_records(local, remote, records, progress=progress)
    note.write(keys)
    return result


def _with_runs(local: Store, keys: Iterable[str]) -> list[Record]:
    """The records at these keys, and all runs that they name.

    The store may have been given a run long ago, and have removed it since as nobody needed it:
    a new commit that has the same run needs it again.
    """
    found: dict[str, Record] = {}
    below = list(keys)
    while below:
        key = below.pop()
        if key not in found and (record := local.record_at(key)) is not None:
            found[key] = record
            below += run_keys(record)
    return list(found.values())


@dataclass(frozen=True)
class Pulled:
    """A commit's records, the files of its selected runs, and what was moved."""

    commits: tuple[CommitRecord, ...]
    files: tuple[FileRef, ...]
    copied: CopyResult


def pull(
    remote: Store, local: Store, project: str, commit: str, *, progress: OnProgress | None = None
) -> Pulled:
    """Copy a commit's runs, with their objects, into the local store."""
    commits = tuple(remote.commits(commit, project))
    runs = [
        remote.existing_run(project, record.stage, fingerprint)
        for record in commits
        for fingerprint in record.runs
    ]
    selected = {record.selected for record in commits}
    files = tuple(file for run in runs if run.fingerprint in selected for file in run.files)
    if remote is local:
        return Pulled(commits, files, CopyResult(records_there=len(commits) + len(runs)))
    copied = copy_records(remote, local, [*runs, *commits], progress=progress)
    return Pulled(commits, files, copied)


class Pushed:
    """The note of which records a store was given: one key a line. Losing it costs only time."""

    def __init__(self, folder: Path, url: str) -> None:
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        self._path = folder / f"pushed-{name}"

    def read(self) -> set[str]:
        """The keys, as far as known."""
        try:
            return set(self._path.read_text().splitlines())
        except (OSError, UnicodeDecodeError):
            return set()

    def write(self, keys: Iterable[str]) -> None:
        """Note the keys."""
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}-{secrets.token_hex(4)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text("".join(f"{key}\n" for key in keys))
            temporary.replace(self._path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            reason = error.strerror or error
            raise StoreError(f"Could not write {self._path}: {reason}.") from error
