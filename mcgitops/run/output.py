"""Writes outputs into the project folder: file by file, atomically, losing no file of the user."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from mcgitops.facts.files import tree
from mcgitops.run.workspace import Workspace
from mcgitops.store.records import FileRef, RunRecord
from mcgitops.store.restore import place_of
from mcgitops.store.store import Store


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def make_available(workspace: Workspace, record: RunRecord) -> None:
    """See that the local store has a run with all its files."""
    lost = workspace.local.missing(file.digest for file in record.files)
    there = workspace.local.run(record.project, record.stage, record.fingerprint) is not None
    if there and not lost:
        return
    if workspace.remote is None:
        from mcgitops.errors import StoreError

        raise StoreError(
            f"run {record.fingerprint[:12]} of {record.stage} lacks {len(lost)} of its files in "
            f"{workspace.local.url}.",
            "Run mcgitops verify --repair; what it can't bring back is trained again.",
        )
    from mcgitops.store.transfer import copy_runs

    copy_runs(workspace.remote, workspace.local, [record])


def restore(workspace: Workspace, record: RunRecord, declared: Iterable[str]) -> list[str]:
    """Make the declared paths of the folder exactly what the run produced.

    Gives the paths that were set aside into `.mcgitops/replaced/`, because the store doesn't have
    their content.
    """
    make_available(workspace, record)
    wanted = {file.path: file for file in record.files}
    for path in wanted:
        place_of(path, workspace.folder)  # refuses what leads out, before anything is changed
    aside: list[str] = []
    for path in declared:
        for found in _files_at(workspace.folder, path):
            if found not in wanted:
                aside += put_aside(workspace, found)
    for file in wanted.values():
        aside += _write(workspace, file)
    return aside


def _files_at(folder: Path, path: str) -> list[str]:
    """Files in the folder at or below a declared path, relative to the folder."""
    base = folder / path
    if not base.is_dir() or base.is_symlink():
        return []  # a single file is replaced, not removed
    return [p.relative_to(folder).as_posix() for p in base.rglob("*") if not p.is_dir()]


def _digest_now(workspace: Workspace, path: str) -> str:
    entries = tree(workspace.folder / path, workspace.index).entries
    return entries[0].digest if len(entries) == 1 else ""


def put_aside(workspace: Workspace, path: str) -> list[str]:
    """Remove a file whose content the store has; keep any other one."""
    source = workspace.folder / path
    digest = _digest_now(workspace, path)
    if digest.startswith("sha256:") and not workspace.local.missing([digest]):
        source.unlink()
        return []
    _move_to_free_place(source, workspace.state / "replaced" / time.strftime("%Y%m%dT%H%M%S"), path)
    return [path]


def _move_to_free_place(source: Path, folder: Path, path: str) -> None:
    """Move a file to `path` below a folder named after this second, or a numbered one beside it.

    The place is taken by linking, which never replaces: what was set aside before stays, also that
    of another process within the same second.
    """
    for number in itertools.count(1):
        target = (folder if number == 1 else folder.with_name(f"{folder.name}-{number}")) / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, target, follow_symlinks=False)
        except (FileExistsError, NotADirectoryError):
            continue
        except OSError:  # a file system without hard links
            if os.path.lexists(target):
                continue
            source.replace(target)
            return
        source.unlink()
        return


def _write(workspace: Workspace, file: FileRef) -> list[str]:
    target = workspace.folder / file.path
    now = _digest_now(workspace, file.path) if target.exists() or target.is_symlink() else ""
    if now == file.digest and os.access(target, os.X_OK) == file.executable:
        return []
    aside: list[str] = []
    if now and workspace.local.missing([now] if now.startswith("sha256:") else []):
        aside = put_aside(workspace, file.path)
    fetch(workspace.local, file, target)
    return aside


def fetch(store: Store, file: FileRef, target: Path) -> None:
    """One file out of a store, with its mode."""
    target.parent.mkdir(parents=True, exist_ok=True)
    store.fetch(file.digest, target, executable=file.executable)
