"""Writes pinned data into the folder, file by file and atomically, and keeps what would be lost."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mcgitops.errors import StoreError
from mcgitops.project.pin import Pin
from mcgitops.project.tree import Entry, link_target
from mcgitops.run.data import not_pushed
from mcgitops.run.output import put_aside
from mcgitops.store.threads import each
from mcgitops.store.transfer import copy_objects

if TYPE_CHECKING:
    from mcgitops.run.workspace import Workspace
    from mcgitops.store.transfer import OnProgress

THREADS = 8


def make_local(
    workspace: Workspace, pin: Pin, entries: Iterable[Entry], told: OnProgress | None = None
) -> None:
    """See that the local store has the files' content."""
    sizes = {e.digest: e.size for e in entries if e.digest.startswith("sha256:")}
    lacking = workspace.local.missing(sizes)
    if not lacking:
        return
    if workspace.remote is None or workspace.remote.missing([pin.digest]):
        raise not_pushed(pin, workspace.remote or workspace.local)
    copy_objects(
        workspace.remote, workspace.local, {digest: sizes[digest] for digest in lacking}, told
    )


class Writer:
    """Writes below one folder and nowhere else."""

    def __init__(self, workspace: Workspace, root: Path, pin: Pin) -> None:
        self._workspace = workspace
        self._root = root
        self._pin = pin
        self._real = root.resolve()
        self._made: set[Path] = set()

    def write(self, entries: Iterable[Entry], here: Mapping[str, Entry]) -> list[str]:
        """Write files and links; gives the paths of what was set aside."""
        ordered = sorted(entries)
        aside: list[str] = []
        for entry in ordered:
            target = self._place(entry.path)
            if target.is_dir() and not target.is_symlink():
                raise StoreError(
                    f"{target} is a folder, and a file in {self._pin.file}.", "Move it away."
                )
            if (old := here.get(entry.path)) is not None:
                aside += self.remove(entry.path, old, replaced=True)
        files = [entry for entry in ordered if link_target(entry.digest) is None]

        def fetch(entry: Entry) -> None:
            target = self._root / entry.path
            if target.is_symlink():
                target.unlink()
            self._workspace.local.fetch(entry.digest, target, executable=entry.executable)

        each(fetch, files, THREADS)
        for entry in ordered:
            if (to := link_target(entry.digest)) is not None:
                self._link(self._root / entry.path, to)
        return aside

    def remove(self, path: str, entry: Entry, *, replaced: bool = False) -> list[str]:
        """Remove a file or link whose content the local store has; set any other one aside.

        replaced: something else is written in its place at once, so that it may stay until then.
        """
        place = self._place(path)
        known = not entry.digest.startswith("sha256:")
        if known or not self._workspace.local.missing([entry.digest]):
            if not replaced:
                place.unlink(missing_ok=True)
                self._prune(place.parent)
            return []
        shown = path if self._pin.base == "." else f"{self._pin.base}/{path}"
        return put_aside(self._workspace, shown)

    def folders(self, paths: Iterable[str]) -> None:
        """Make folders that hold nothing."""
        for path in paths:
            self._place(f"{path}/x")

    def _place(self, path: str) -> Path:
        target = self._root / path
        parent = target.parent
        if parent not in self._made:
            if not parent.resolve().is_relative_to(self._real):
                raise StoreError(
                    f"{target} leads out of {self._root} through a symbolic link.",
                    "Remove the link, then run the same again.",
                )
            parent.mkdir(parents=True, exist_ok=True)
            self._made.add(parent)
        return target

    def _link(self, target: Path, to: str) -> None:
        temporary = target.with_name(f".mcgitops-{os.getpid()}-{secrets.token_hex(8)}")
        temporary.symlink_to(to)
        temporary.replace(target)

    def _prune(self, folder: Path) -> None:
        """Remove folders that hold nothing any more."""
        while folder != self._root and folder.is_relative_to(self._root):
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent
