"""What `push` and `pull` move: which records, between the local store and the project's store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mcgitops.deferred import dataclass
from mcgitops.store.pushed import Pushed as Pushed
from mcgitops.store.records import CommitRecord, FileRef, Record
from mcgitops.store.store import Store
from mcgitops.store.transfer import CopyResult, OnProgress, copy_records, run_keys

if TYPE_CHECKING:
    from mcgitops.store.making import Making


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
    remote: Store,
    local: Store,
    project: str,
    commit: str,
    *,
    progress: OnProgress | None = None,
    making: Making | None = None,
) -> Pulled:
    """Copy a commit's runs, with their objects, into the local store.

    making: where the files of the selected runs come together meanwhile, as far as that pays.
    """
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
    if making is not None:
        making.expect(files)
    copied = copy_records(remote, local, [*runs, *commits], progress=progress, beside=making)
    return Pulled(commits, files, copied)
