"""Writes pinned data into the folder, file by file and atomically, and keeps what would be lost."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcgitops.errors import McgitopsError, StoreError
from mcgitops.facts.index import GRANULARITY_NS, Row
from mcgitops.facts.walking import signed
from mcgitops.project.pin import Pin
from mcgitops.project.tree import Entry, link_target
from mcgitops.run.data import not_pushed
from mcgitops.run.output import put_aside
from mcgitops.store.backend import Damaged
from mcgitops.store.objects import hashed
from mcgitops.store.records import FileRef
from mcgitops.store.threads import each
from mcgitops.store.transfer import copy_objects

if TYPE_CHECKING:
    from mcgitops.run.workspace import Workspace
    from mcgitops.store.link import Links
    from mcgitops.store.making import Making
    from mcgitops.store.transfer import OnProgress

THREADS = 8
WORTH = 64 * 1024 * 1024
"""Bytes that take longer to be read again than to wait until the clock has gone on."""


def make_local(
    workspace: Workspace,
    pin: Pin,
    entries: Iterable[Entry],
    told: OnProgress | None = None,
    making: Making | None = None,
    *,
    links: bool = False,
) -> None:
    """See that the local store has the files' content.

    making: where large files come together meanwhile, so that they needn't be read again.
    links: what can be linked to the store is going to be.
    """
    wanted = [entry for entry in entries if entry.digest.startswith("sha256:")]
    sizes = {entry.digest: entry.size for entry in wanted}
    lacking = workspace.local.missing(sizes)
    if not lacking:
        return
    if workspace.remote is None or workspace.remote.missing([pin.digest]):
        raise not_pushed(pin, workspace.remote or workspace.local)
    if making is not None:
        from mcgitops.store.large import FROM

        large = (entry for entry in wanted if entry.size >= FROM and entry.digest in lacking)
        making.expect(_file(pin, e) for e in large if not (links and can_be_linked(e)))
    copy_objects(
        workspace.remote,
        workspace.local,
        {digest: sizes[digest] for digest in lacking},
        told,
        making,
    )


def _file(pin: Pin, entry: Entry) -> FileRef:
    path = entry.path if pin.base == "." else f"{pin.base}/{entry.path}"
    return FileRef(path=path, digest=entry.digest, size=entry.size, executable=entry.executable)


def can_be_linked(entry: Entry) -> bool:
    """Whether a file can be an object: those are not executable."""
    return entry.digest.startswith("sha256:") and entry.size > 0 and not entry.executable


class Writer:
    """Writes below one folder and nowhere else.

    making: has some of the files ready. links: makes files be the store's objects.
    """

    def __init__(
        self,
        workspace: Workspace,
        root: Path,
        pin: Pin,
        making: Making | None = None,
        links: Links | None = None,
    ) -> None:
        self._workspace = workspace
        self._root = root
        self._pin = pin
        self._making = making
        self._links = links
        self._known: dict[str, Row] = {}
        self._chosen: dict[str, str] = {}  # digest → the path that is linked to the object
        self._mended: set[str] = set()
        self._mending = threading.Lock()
        self.linked: list[Entry] = []
        """Files that are objects of the store now."""
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
            try:
                self._give(entry, target)
            except Damaged as damage:
                self._mend(entry, damage)
                self._give(entry, target)

        self._rest(files)
        each(fetch, files, THREADS)
        for entry in ordered:
            if (to := link_target(entry.digest)) is not None:
                self._link(self._root / entry.path, to)
        return aside

    def note(self) -> None:
        """Let the index know the files that were filled on their way: nobody need read them again.

        It trusts what is clearly older than the look at it; so where they are large, that is
        waited for.
        """
        if not self._known:
            return
        if sum(row.size for row in self._known.values()) >= WORTH:
            newest = max(row.seen_ns for row in self._known.values())
            time.sleep(min(max(0, newest - time.time_ns() + 2 * GRANULARITY_NS), 10**8) / 1e9)
        now = time.time_ns()
        rows = ((path, row._replace(seen_ns=now)) for path, row in self._known.items())
        self._workspace.index.save(os.fspath(self._root), rows)
        self._known = {}

    def _note(self, entry: Entry, stat: os.stat_result, age_ns: int) -> None:
        """Remember what a file is, if it was clearly older than the moment that tells so.

        What is done to it since then shows in its times.
        """
        if age_ns > GRANULARITY_NS:
            times = signed(stat.st_mtime_ns), signed(stat.st_ctime_ns), time.time_ns()
            row = Row(signed(stat.st_ino), stat.st_size, *times, entry.digest)
            self._known[entry.path] = row

    def _rest(self, files: Iterable[Entry]) -> None:
        """Let large files that are ready become older than their names: see `note`."""
        making = self._making
        if making and sum(entry.size for entry in files if making.has(entry.digest)) >= WORTH:
            time.sleep(2 * GRANULARITY_NS / 1e9)

    def alone(self, entries: Iterable[Entry]) -> list[Entry]:
        """The files that could be objects of the store and are not; reads none of them.

        Those that are get read-only again, where somebody has made them writable.
        """
        return [entry for entry in entries if can_be_linked(entry) and self._is_alone(entry)]

    def _is_alone(self, entry: Entry) -> bool:
        try:
            there = (self._root / entry.path).lstat()
        except OSError:
            return False
        links, digest = self._links, entry.digest
        if links is None or links.is_linked(digest, there):
            return False
        return links.is_possible(digest, there)

    def link(self, entries: Sequence[Entry]) -> None:
        """Make files be the store's objects, those of them that have the same content.

        They are read for that: an edit that nobody knew of would be lost.
        """

        def share(entry: Entry) -> None:
            target = self._root / entry.path
            try:
                descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                with os.fdopen(descriptor, "rb") as stream:
                    seen = os.fstat(descriptor)
                    if hashed(stream)[0] != entry.digest:
                        return
            except OSError:
                return  # whoever needs the file says what is wrong
            try:
                self._linked(entry, target, seen)
            except Damaged as damage:
                self._mend(entry, damage)
                self._linked(entry, target, seen)

        each(share, entries, THREADS)

    def _give(self, entry: Entry, target: Path) -> None:
        """Write one file, in the way that costs least."""
        if not (self._linked(entry, target) or self._placed(entry, target)):
            self._workspace.local.fetch(entry.digest, target, executable=entry.executable)

    def _mend(self, entry: Entry, damage: Damaged) -> None:
        """Set a damaged object of the local store aside, and take the project's store's.

        Raises what was found where that has none.
        """
        from mcgitops.store.layout import object_key
        from mcgitops.store.repair import DAMAGED

        local, remote = self._workspace.local, self._workspace.remote
        with self._mending:
            if entry.digest in self._mended:
                return
            try:
                if remote is None or remote.missing([entry.digest]):
                    raise damage
                key = object_key(entry.digest)
                local.backend.move(key, f"{DAMAGED}{key}")
                copy_objects(remote, local, {entry.digest: entry.size})
            except McgitopsError:
                raise damage from None
            self._mended.add(entry.digest)

    def _linked(self, entry: Entry, target: Path, seen: os.stat_result | None = None) -> bool:
        """Whether the file is the object now. seen: what is replaced only if it is still so."""
        if self._links is None or not can_be_linked(entry):
            return False
        if self._chosen.setdefault(entry.digest, entry.path) != entry.path:
            return False
        known = self._making.arrived.get(entry.digest, 0) if self._making is not None else 0
        linked = self._links.link(entry.digest, target, known=known, seen=seen)
        if linked is None:
            return False
        self._note(entry, linked.stat, linked.age_ns)
        self.linked.append(entry)
        return True

    def _placed(self, entry: Entry, target: Path) -> bool:
        """Whether the file was ready."""
        if self._making is None or not self._making.has(entry.digest):
            return False
        placed = self._making.place(_file(self._pin, entry), target)
        if placed is None:
            return False
        # As long as it had no name nobody could write to it.
        self._note(entry, placed.stat, placed.age_ns)
        return True

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
