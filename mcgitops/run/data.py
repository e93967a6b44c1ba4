"""Data that is pinned in git and lives in the store: how the folder stands to it, and fetching it.

What a stage reads counts as its pin says, also where it isn't here: a fresh checkout knows the
fingerprints, and so the cached runs, without a byte of data. What was changed here by hand counts
as it lies there, as with every other file; the plan says so. What is only older, since git brought
another pin, is brought up to date before a stage reads it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError, UsageError
from mcgitops.facts import pins as found_pins
from mcgitops.facts.dvc import Out
from mcgitops.facts.files import Skip, keep_all, tree
from mcgitops.facts.program import in_background
from mcgitops.plan.model import Read
from mcgitops.project.model import is_within
from mcgitops.project.pin import EMPTY_FOLDER, Joined, Pin, join, read_manifest
from mcgitops.project.tree import Entry, Tree, link_target

if TYPE_CHECKING:
    from mcgitops.run.dvc import DvcData
    from mcgitops.run.workspace import Workspace
    from mcgitops.store.link import Links
    from mcgitops.store.making import Making
    from mcgitops.store.store import Store
    from mcgitops.store.transfer import OnProgress

LARGEST_MANIFEST = 1024 * 1024 * 1024
FOLDER = "data"
"""Below `.mcgitops`: what this folder last had of each pin."""
Chosen = Callable[[str], bool]
"""Whether a path, relative to the pin's base, is wanted."""


@dataclass(frozen=True)
class Need:
    """Data that isn't here as its pin says. `files` and `size` (bytes): 0 where nobody has counted.

    paths: what of it is wanted, relative to the pin's base; None for all.
    """

    pin: Pin | Out
    files: int = 0
    size: int = 0
    paths: frozenset[str] | None = None


@dataclass(frozen=True)
class Seen:
    """What a stage reads at one place, as its pins say.

    needs: what must be fetched before it can be read.  edited: pins whose data was changed here.
    """

    tree: Tree
    needs: tuple[Need, ...] = ()
    edited: tuple[Pin | Out, ...] = ()


@dataclass(frozen=True)
class Brought:
    """What fetching changed: files written, their bytes, files removed, and paths set aside.

    linked: files that are objects of the local store now, and `linked_size` their bytes.
    """

    written: int = 0
    size: int = 0
    removed: int = 0
    aside: tuple[str, ...] = ()
    linked: int = 0
    linked_size: int = 0


class Data:
    """A project's pinned data. Pins are read once; the folder is looked at each time."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = workspace.folder
        self._manifests: dict[str, Tree] = {}
        self._alone = threading.Lock()
        self._asked: Callable[[], tuple[str, ...]] | None = None

    def begin(self) -> None:
        """Ask git for the pins, while something else is done."""
        if self._asked is None:
            self._asked = in_background(lambda: found_pins.names(self._folder))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All files that pin something, ours and DVC's."""
        return self._asked() if self._asked is not None else found_pins.names(self._folder)

    @cached_property
    def pins(self) -> tuple[Pin, ...]:
        """Our pins, sorted by path."""
        return found_pins.read(self._folder, self.names)

    @cached_property
    def dvc(self) -> DvcData:
        """What DVC tracks."""
        from mcgitops.run.dvc import DvcData

        return DvcData(self._workspace, self.names)

    @property
    def outs(self) -> tuple[Out, ...]:
        """What DVC tracks, sorted by path; without a `.dvc` file nothing of it is imported."""
        return self.dvc.outs if any(name.endswith(found_pins.DVC) for name in self.names) else ()

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths that are pinned, by us or by DVC."""
        return (*(pin.path for pin in self.pins), *(out.path for out in self.outs))

    def covering(self, path: str) -> Pin | None:
        """The pin of this project-relative path, or of a folder above it."""
        return next((pin for pin in self.pins if is_within(path, pin.path)), None)

    def below(self, path: str) -> tuple[Pin, ...]:
        """The pins of a path and of what is below it."""
        return tuple(pin for pin in self.pins if is_within(pin.path, path))

    # looking

    def seen(self, read: Read, skip: Skip) -> Seen:
        """The content of one thing that a stage reads. `skip` says what of it doesn't count."""
        seen = self._pinned(read, skip)
        base = self._workspace.project.relative(read.path)
        if not self.outs or base is None:
            return seen
        return self._tracked(read, base, _View(base, skip), seen)

    def _tracked(self, read: Read, base: str, view: _View, seen: Seen) -> Seen:
        """The same, where what DVC tracks counts by its MD5.

        All of a folder is one entry, so that no list of its files is needed to know it; only where
        a part of it is read, there is one for each file.
        """
        kept = {entry.path: entry for entry in seen.tree.entries}
        needs, edited = list(seen.needs), list(seen.edited)
        for out in self.outs:
            if not (is_within(out.path, base) or is_within(base, out.path)):
                continue
            if out.path != base and is_within(out.path, base) and not view.leads_to(out):
                continue
            state = self.dvc.state(out)
            if not state.counts:
                edited.append(out)
                continue
            name = view.name(out.path)
            narrowing = (*(read.only or ()), *read.exclude)
            if base == out.path:
                in_part = bool(narrowing)
            else:
                inside_it = any(is_within(p, name) and p != name for p in narrowing)
                in_part = is_within(base, out.path) or (out.is_folder and inside_it)
            if not in_part:
                gone = [p for p in kept if base == out.path or is_within(p, name)]
                for path in gone:
                    del kept[path]
                kept[name] = Entry(name, f"md5:{out.md5}", out.size, False)
                if state.what != "as pinned":
                    files = out.files or 1 if state.what == "not here" else len(state.fetch)
                    needs.append(Need(out, files, out.size))
                continue
            listed = {p: md5 for p, md5 in self.dvc.listed(out).items() if view.shows(out, p)}
            for path in (*listed, *state.discard):
                kept.pop(view.inside(out, path), None)
            for path, md5 in listed.items():
                inside = view.inside(out, path)
                kept[inside] = Entry(inside, f"md5:{md5}", 0, False)
            fetch = listed if state.what == "not here" else state.fetch
            paths = frozenset((*(listed.keys() & fetch.keys()), *state.discard))
            if paths:
                needs.append(Need(out, len(paths), 0, paths))
        return Seen(Tree.of(kept.values()), tuple(needs), tuple(edited))

    def _pinned(self, read: Read, skip: Skip) -> Seen:
        """What our own pins say."""
        place = Path(read.path)
        plain = tree(place, self._workspace.index, skip)
        if not self.pins or (base := self._workspace.project.relative(read.path)) is None:
            return Seen(plain)
        view = _View(base, skip)
        overlays: dict[Pin, Joined] = {}
        for pin in self.pins:
            if not (is_within(pin.path, base) or is_within(base, pin.path)):
                continue
            if pin.path != base and is_within(pin.path, base) and not view.leads_to(pin):
                continue
            exact = base == pin.path and skip is keep_all
            here = plain if exact else self.here(pin)
            if here.digest == pin.tree:
                continue
            is_here = os.path.lexists(self._folder / pin.path)
            if exact and (not is_here or here.digest == self._base_digest(pin)):
                known = Tree.known(pin.tree, lambda pin=pin: files_of(self.manifest(pin)))  # type: ignore[misc]
                counted = (pin.files, pin.size) if not is_here else (0, 0)
                return Seen(known, (Need(pin, *counted),))
            overlays[pin] = self.joined(pin, here)
        return self._overlaid(plain, view, overlays) if overlays else Seen(plain)

    def _overlaid(self, plain: Tree, view: _View, overlays: Mapping[Pin, Joined]) -> Seen:
        kept: dict[str, Entry] = {entry.path: entry for entry in plain.entries}
        needs: list[Need] = []
        edited: list[Pin] = []
        for pin, joined in overlays.items():
            fetch = [entry for entry in joined.fetch if view.shows(pin, entry.path)]
            discard = [path for path in joined.discard if view.shows(pin, path)]
            for path in discard:
                kept.pop(view.inside(pin, path), None)
            for entry in fetch:
                name = view.inside(pin, entry.path)
                kept[name] = entry._replace(path=name)
            if fetch or discard:
                paths = frozenset((*(entry.path for entry in fetch), *discard))
                needs.append(Need(pin, len(fetch), sum(e.size for e in fetch), paths))
            edits = (*joined.added, *joined.removed, *joined.changed)
            if any(view.shows(pin, path) for path in edits):
                edited.append(pin)
        if not needs:
            return Seen(plain, (), tuple(edited))
        return Seen(Tree.of(kept.values()), tuple(needs), tuple(edited))

    def here(self, pin: Pin) -> Tree:
        """What lies at the pinned path now."""
        return tree(self._folder / pin.path, self._workspace.index)

    def joined(self, pin: Pin, here: Tree | None = None) -> Joined:
        """How the folder stands to the pin. Needs the manifest: raises `StoreError` without it."""
        here = self.here(pin) if here is None else here
        base = self._base(pin) if os.path.lexists(self._folder / pin.path) else ()
        return join(self.manifest(pin).entries, base, here.entries)

    def edits(self, pin: Pin) -> bool:
        """Whether the data was changed here by hand; needs no manifest where it wasn't."""
        if not os.path.lexists(self._folder / pin.path):
            return False
        here = self.here(pin)
        if here.digest in (pin.tree, self._base_digest(pin)):
            return False
        return bool(self.joined(pin, here).edits)

    def digest_of(self, path: str) -> str | None:
        """The SHA-256 (64 hex) that a project-relative path has by its pin; None where none does.

        Raises `StoreError` where the pin's manifest is in no store.
        """
        pin = self.covering(path)
        if pin is None:
            return None
        inside = path if pin.base == "." else path[len(pin.base) + 1 :]
        found = (entry for entry in self.manifest(pin).entries if entry.path == inside)
        return next((entry.digest.removeprefix("sha256:") for entry in found), None)

    # the manifest, and what this folder last had

    def manifest(self, pin: Pin) -> Tree:
        """All entries of a pin, from whichever store has them; kept in the local one."""
        if pin.digest not in self._manifests:
            self._manifests[pin.digest] = self._manifest(pin)
        return self._manifests[pin.digest]

    def _manifest(self, pin: Pin) -> Tree:
        local, remote = self._workspace.local, self._workspace.remote
        if local.missing([pin.digest]):
            if remote is None or remote.missing([pin.digest]):
                raise not_pushed(pin, remote or local)
            local.put_bytes(remote.read_bytes(pin.digest, LARGEST_MANIFEST))
        try:
            return checked(read_manifest(local.read_bytes(pin.digest, LARGEST_MANIFEST)), pin)
        except ValueError:
            raise UsageError(
                f"{pin.digest[:19]}, which {pin.file} names, is no manifest of data.",
                f"Pin the data again: mcgitops data add {pin.path}",
            ) from None

    def _note(self, pin: Pin) -> Path:
        name = hashlib.sha256(pin.path.encode("utf-8", "surrogateescape")).hexdigest()
        return self._workspace.state / FOLDER / f"{name[:32]}.manifest"

    def _base(self, pin: Pin) -> tuple[Entry, ...]:
        """What this folder last had of the pin; nothing where that isn't known."""
        try:
            return Tree.parse(
                self._note(pin).read_bytes().decode("utf-8", "surrogateescape")
            ).entries
        except (OSError, ValueError):
            return ()

    def _base_digest(self, pin: Pin) -> str:
        try:
            return "sha256:" + hashlib.sha256(self._note(pin).read_bytes()).hexdigest()
        except OSError:
            return ""

    def remember(self, pin: Pin, entries: Iterable[Entry]) -> None:
        """Note what the folder has of a pin."""
        from mcgitops.run.output import write_atomically

        tree_ = Tree.of(entry for entry in entries if entry.digest != EMPTY_FOLDER)
        write_atomically(self._note(pin), tree_.encoded())

    # fetching

    def fetch(self, needs: Iterable[Need], told: OnProgress | None = None) -> Brought:
        """Bring what is needed into the folder; a second call does nothing."""
        done = Brought()
        with self._alone:
            for need in needs:
                wanted = need.paths
                chosen = wanted.__contains__ if wanted is not None else None
                if isinstance(need.pin, Out):
                    count, size, aside = self.dvc.bring(need.pin, chosen)
                    aside = [*done.aside, *aside]
                    done = replace(
                        done,
                        written=done.written + count,
                        size=done.size + size,
                        aside=tuple(aside),
                    )
                    continue
                brought = self.bring(need.pin, chosen, told=told)
                done = Brought(
                    done.written + brought.written, done.size + brought.size,
                    done.removed + brought.removed, (*done.aside, *brought.aside),
                    done.linked + brought.linked, done.linked_size + brought.linked_size,
                )  # fmt: skip
        return done

    def bring(
        self,
        pin: Pin,
        chosen: Chosen | None = None,
        *,
        force: bool = False,
        told: OnProgress | None = None,
    ) -> Brought:
        """Make the folder what the pin says; `chosen` narrows it.

        force: also what was changed here by hand; that is set aside where no store has it.
        """
        from mcgitops.run.data_files import Writer, make_local

        here = {entry.path: entry for entry in self.here(pin).entries}
        joined = self.joined(pin)
        manifest = {entry.path: entry for entry in self.manifest(pin).entries}
        fetch = {entry.path: entry for entry in joined.fetch}
        discard = set(joined.discard)
        if force:
            fetch |= {path: manifest[path] for path in (*joined.changed, *joined.removed)}
            discard |= set(joined.added)
        if chosen is not None:
            fetch = {path: entry for path, entry in fetch.items() if chosen(path)}
            discard = {path for path in discard if chosen(path)}
        root = self._folder / pin.base if pin.base != "." else self._folder
        links = self._links()
        if links is not None and not (fetch and self._is_elsewhere(pin)):
            links = None
        with self._making() as making:
            make_local(self._workspace, pin, fetch.values(), told, making, links=links is not None)
            writer = Writer(self._workspace, root, pin, making, links)
            aside = [a for path in sorted(discard) for a in writer.remove(path, here[path])]
            aside += writer.write(fetch.values(), here)
        writer.note()
        empty = [p for p, e in manifest.items() if e.digest == EMPTY_FOLDER]
        writer.folders(path for path in empty if chosen is None or chosen(path))
        same = {path: entry for path, entry in manifest.items() if here.get(path) == entry}
        kept = {entry.path: entry for entry in self._base(pin)}
        by_hand = {*joined.added, *joined.changed, *joined.removed} - fetch.keys() - discard
        base = {path: entry for path, entry in kept.items() if path in by_hand}
        # what is older than the pin and was not chosen stays known as what it is
        rest = {path: e for path, e in kept.items() if here.get(path) == e and path not in discard}
        if os.path.lexists(self._folder / pin.path):
            self.remember(pin, (rest | base | same | fetch).values())
        size = sum(entry.size for entry in fetch.values())
        return Brought(len(fetch), size, len(discard), tuple(aside), *_counted(writer.linked))

    def link(self, pin: Pin, chosen: Chosen | None = None) -> Brought:
        """Where links are asked for: have what is here as pinned be the local store's objects."""
        links = self._links()
        if links is None or not os.path.lexists(self._folder / pin.path):
            return Brought()
        from mcgitops.run.data_files import Writer

        writer = Writer(self._workspace, self._folder / pin.base, pin, links=links)
        entries = self.manifest(pin).entries
        alone = writer.alone(e for e in entries if chosen is None or chosen(e.path))
        if alone and self._is_elsewhere(pin):
            writer.link(alone)
            writer.note()
        count, size = _counted(writer.linked)
        return Brought(linked=count, linked_size=size)

    def _links(self) -> Links | None:
        """What links files to the local store, where that is asked for."""
        from mcgitops.store.link import Links, are_asked_for

        local = self._workspace.local
        if not are_asked_for(os.environ) or local.path is None:
            return None
        return Links(local.objects, self._folder)

    def _is_elsewhere(self, pin: Pin) -> bool:
        """Whether another store has the data, so that no edit through a link is a loss."""
        from mcgitops.run.data_push import is_pushed

        try:
            return self._workspace.remote is not None and is_pushed(self._workspace, pin.digest)
        except StoreError:
            return False  # it can't be asked now

    def _making(self) -> AbstractContextManager[Making | None]:
        """Where large files come together while they are fetched."""
        if self._workspace.remote is None or self._workspace.local.path is None:
            return nullcontext()
        from mcgitops.store.making import Making

        return Making(self._folder, self._workspace.local.path, replacing=True)


def _counted(entries: Sequence[Entry]) -> tuple[int, int]:
    return len(entries), sum(entry.size for entry in entries)


class _View:
    """What a read shows of the project: which paths of a pin are in it, under which name."""

    def __init__(self, base: str, skip: Skip) -> None:
        self._base = base
        self._skip = skip
        self._folders: dict[str, bool] = {"": True}

    def name(self, path: str) -> str:
        """The name of a path in the read; its last part where the read is the path."""
        return path.rpartition("/")[2] if path == self._base else self._relative(path)

    def leads_to(self, pin: Pin | Out) -> bool:
        """Whether a pin below the read may be in it."""
        name = self._relative(pin.path)
        if pin.is_folder:
            return self._open(name)
        return self._open(name.rpartition("/")[0]) and not self._skip(name, False)

    def inside(self, pin: Pin | Out, path: str) -> str:
        """The name that a path of a pin has in the read; "" where it isn't in it."""
        whole = path if pin.base == "." else f"{pin.base}/{path}"
        if whole == self._base:
            return whole.rpartition("/")[2]
        return self._relative(whole) if is_within(whole, self._base) else ""

    def shows(self, pin: Pin | Out, path: str) -> bool:
        """Whether the path counts."""
        name = self.inside(pin, path)
        whole = path if pin.base == "." else f"{pin.base}/{path}"
        if not name or whole == self._base:
            return bool(name)
        return self._open(name.rpartition("/")[0]) and not self._skip(name, False)

    def _relative(self, path: str) -> str:
        return path if self._base == "." else path[len(self._base) + 1 :]

    def _open(self, folder: str) -> bool:
        if folder not in self._folders:
            above = folder.rpartition("/")[0]
            self._folders[folder] = self._open(above) and not self._skip(folder, True)
        return self._folders[folder]


def in_words(need: Need) -> str:
    """`data: 1,200 files, 73.4 MB`."""
    if not need.files:
        return f"{need.pin.path} as it is pinned now"
    noun = "file" if need.files == 1 else "files"
    size = f", {bytes_in_words(need.size)}" if need.size or isinstance(need.pin, Pin) else ""
    return f"{need.pin.path}: {need.files:,} {noun}{size}"


def bytes_in_words(count: float) -> str:
    """`73.4 MB`, as everywhere."""
    if count < 1000:
        return f"{count:.0f} B"
    units = iter(("kB", "MB", "GB", "TB"))
    while count >= 999.95 and (unit := next(units, "")):
        count, last = count / 1000, unit
    return f"{count:,.1f} {last}"


def files_of(manifest: Tree) -> tuple[Entry, ...]:
    """Its files and links, without the empty folders."""
    return tuple(entry for entry in manifest.entries if entry.digest != EMPTY_FOLDER)


def checked(manifest: Tree, pin: Pin) -> Tree:
    """The manifest, which others may have made; one with a path that leads out is refused."""
    for entry in manifest.entries:
        parts = entry.path.split("/")
        target = link_target(entry.digest)
        out = target is not None and leads_out(entry.path, target)
        if "\0" in entry.path or any(part in ("", ".", "..", ".git") for part in parts) or out:
            raise UsageError(
                f"The data of {pin.file} holds the path {entry.path[:200]!r}, which leads out of "
                "its folder.",
                "Don't use that pin; nothing was changed.",
            )
    if not pin.is_folder and [e.path for e in manifest.entries] != [pin.path.rpartition("/")[2]]:
        raise UsageError(f"{pin.file} pins one file, and its data is another.", "Pin it anew.")
    return manifest


def leads_out(path: str, target: str) -> bool:
    """Whether a symbolic link at `path` leads out of the folder that the path is relative to."""
    if target.startswith("/"):
        return True
    import posixpath

    there = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return there == ".." or there.startswith("../")


def not_pushed(pin: Pin, store: Store) -> StoreError:
    """What to say where a pin's data is in no store that can be reached from here."""
    return StoreError(
        f"The data of {pin.path} ({pin.file}, {pin.digest[7:19]}) is not in {store.url}: it was "
        "not pushed yet.",
        "On the machine where it was added: mcgitops push.",
    )
