"""Puts data under a pin: its content into the local store, a small text file beside it for git."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mcgitops.deferred import dataclass
from mcgitops.errors import McgitopsError, StoreError, UsageError
from mcgitops.facts import pins as found_pins
from mcgitops.facts.files import keep_all, tree
from mcgitops.project.model import STATE_FOLDER, is_within
from mcgitops.project.pin import SUFFIX, Joined, Pin, ignore_line, join, pin_of
from mcgitops.project.tree import Entry, Tree, link_target
from mcgitops.run.data import Data, leads_out
from mcgitops.run.output import write_atomically
from mcgitops.run.workspace import Workspace
from mcgitops.store import layout
from mcgitops.store.clone import LEAST
from mcgitops.store.store import Store
from mcgitops.store.streams import read_fully
from mcgitops.store.threads import each

THREADS = 16
WRITERS = 4
BATCH = 2048
"""Small files that are made durable at once."""
ADDED = "added"
"""Below `.mcgitops/data`: the manifests of what was pinned here, one digest a line."""


@dataclass(frozen=True)
class Added:
    """What was pinned.

    change: how it differs from what was pinned at this path before.
    before: its entries before, and after: now; by path.
    ignore: the `.gitignore` that was written, "" where none had to be.
    stored: files and bytes that the local store didn't have yet.
    """

    pin: Pin
    change: Joined
    before: Mapping[str, Entry]
    after: Mapping[str, Entry]
    ignore: str = ""
    stored: tuple[int, int] = (0, 0)
    warnings: tuple[str, ...] = ()


def add(workspace: Workspace, path: str, *, as_is: bool = False) -> Added:
    """Pin what lies at a project-relative path.

    as_is: what is missing of the present pin, since it was never fetched here, is left out.
    Raises `UsageError` where the path can't be pinned; nothing is written then.
    """
    data = Data(workspace)
    place = workspace.folder / path
    _check(workspace, data, path)
    is_folder = place.is_dir()
    folders = list(_looked_through(place, path)) if is_folder else []
    here = tree(place, workspace.index)
    _check_links(place, path, here)
    old = next((pin for pin in data.pins if pin.path == path), None)
    before = _before(data, old, here, as_is=as_is)
    pin, manifest = pin_of(path, here, folders, is_folder=is_folder)
    stored = _store(workspace, place if is_folder else place.parent, here)
    workspace.local.put_bytes(manifest)
    if old != pin:
        write_atomically(workspace.folder / pin.file, pin.text.encode())
    # Not before the pin: what is known to be here and differs from it would count as only older.
    data.remember(pin, here.entries)
    _note(workspace, pin)
    ignore = _ignored(workspace, path)
    return Added(
        pin,
        # as if nothing of the old one were known here: what is there now counts
        join(before, (), here.entries) if old is not None else Joined(),
        {entry.path: entry for entry in before},
        {entry.path: entry for entry in here.entries},
        ignore,
        stored,
        _warnings(workspace, pin),
    )


def _check(workspace: Workspace, data: Data, path: str) -> None:
    """Refuse what can't be pinned, with the reason and what to do instead."""
    place = workspace.folder / path
    parts = path.split("/")
    if path == "." or STATE_FOLDER in parts or ".git" in parts or path.endswith(SUFFIX):
        raise UsageError(f"{path} can't be pinned.", "Name a folder or a file with data.")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{path!r} is no valid UTF-8, so git could not carry its pin everywhere.",
            "Rename it; what is below it may have any name.",
        ) from None
    if not os.path.lexists(place):
        raise UsageError(f"{path} doesn't exist.", "Name a folder or a file that does.")
    if place.is_symlink() or not (place.is_dir() or place.is_file()):
        raise UsageError(f"{path} is no folder and no file.", "Pin what it leads to.")
    if not place.parent.resolve().is_relative_to(workspace.folder.resolve()):
        raise UsageError(f"{path} is outside the project folder.", "Name a path inside it.")
    for pin in data.pins:
        if pin.path != path and (is_within(path, pin.path) or is_within(pin.path, path)):
            part = "a part of it" if is_within(pin.path, path) else "all of it and more"
            raise UsageError(
                f"{path} can't be pinned: {pin.file} pins {part}.",
                f"Add {pin.path} instead, or remove that pin first.",
            )
    for out in data.outs:
        if is_within(path, out.path) or is_within(out.path, path):
            raise UsageError(
                f"{path} can't be pinned: DVC tracks {out.path} ({out.file}).",
                "It is used as it is. To pin it here instead, let DVC go of it first: dvc remove "
                f"{out.file}",
            )
    for made in sorted(workspace.project.produced()):
        if is_within(made, path) or is_within(path, made):
            raise UsageError(
                f"{path} can't be pinned: {made} is an output, which the store keeps anyway.",
                "Pin only what no stage writes.",
            )
    known = found_pins.tracked(workspace.folder, path)
    if known:
        more = f" and {len(known) - 1} more" if len(known) > 1 else ""
        raise UsageError(
            f"git tracks {known[0]}{more}.",
            "Take it out of git first, which leaves the files: git rm -r --cached "
            f"{shlex.quote(path)}",
        )


def _looked_through(place: Path, path: str) -> Iterator[str]:
    """The folders with nothing in them; an error for what is neither file, folder nor link."""
    pending = [("", os.fspath(place))]
    while pending:
        prefix, folder = pending.pop()
        holds = False
        with os.scandir(folder) as entries:
            for entry in entries:
                holds = True
                below = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if keep_all(below, True):
                        raise UsageError(
                            f"{path}/{below} can't be pinned with the rest.", "Move it away."
                        )
                    pending.append((f"{below}/", entry.path))
                elif not entry.is_symlink() and not entry.is_file(follow_symlinks=False):
                    kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
                    what = "a named pipe" if kind == stat.S_IFIFO else "no file"
                    raise UsageError(f"{path}/{below} is {what}.", "Move it away.")
        if prefix and not holds:
            yield prefix[:-1]


def _check_links(place: Path, path: str, here: Tree) -> None:
    """Refuse symbolic links that lead out: they would mean something else on each machine."""
    root = place.resolve()
    for entry in here.entries:
        target = link_target(entry.digest)
        if target is None:
            continue
        end = (place / entry.path).resolve()
        if leads_out(entry.path, target) or not end.is_relative_to(root):
            raise UsageError(
                f"{path}/{entry.path} is a symbolic link that leads out of {path}: {target[:200]}.",
                "Put the file itself in its place, or pin what it leads to by its own.",
            )


def _before(data: Data, old: Pin | None, here: Tree, *, as_is: bool) -> tuple[Entry, ...]:
    """What was pinned before; an error where the folder was never brought up to it."""
    if old is None:
        return ()
    if here.digest == old.tree:
        return here.entries
    joined = data.joined(old, here)
    if (joined.fetch or joined.discard) and not as_is:
        count = len(joined.fetch) + len(joined.discard)
        verb = "was" if count == 1 else "were"
        raise UsageError(
            f"{count} {'file' if count == 1 else 'files'} of {old.path} {verb} never brought here "
            f"as {old.file} has them, so pinning now would undo that.",
            f"Bring them first: mcgitops data pull {old.path}. Or say --as-is, and only what lies "
            "here counts.",
        )
    return tuple(data.manifest(old).entries)


def _store(workspace: Workspace, root: Path, here: Tree) -> tuple[int, int]:
    """Put the content into the local store; gives how many files and bytes were new to it."""
    first = {e.digest: e for e in here.entries if e.digest.startswith("sha256:")}
    workspace.local.objects.claim(first)  # what is there already is relied on from now
    lacking = [first[digest] for digest in workspace.local.missing(first)]

    def put(entry: Entry) -> None:
        digest, _ = workspace.local.put_file(root / entry.path)
        if digest != entry.digest:
            raise _changed(root / entry.path)

    small = [entry for entry in lacking if entry.size < LEAST]
    large = [entry for entry in lacking if entry.size >= LEAST]
    batches = [small[start : start + BATCH] for start in range(0, len(small), BATCH)]
    each(put, sorted(large, key=lambda entry: -entry.size), THREADS)
    each(lambda some: _store_at_once(workspace.local, root, some), batches, WRITERS)
    return len(lacking), sum(entry.size for entry in lacking)


def _store_at_once(store: Store, root: Path, entries: Sequence[Entry]) -> None:
    """Put small files into a local store, which waits once for the disk for all of them."""

    def contents() -> Iterator[tuple[str, bytes]]:
        for entry in entries:
            path = f"{root}/{entry.path}"
            try:
                with open(path, "rb", buffering=0) as stream:  # noqa: PTH123  (a million, perhaps)
                    value = read_fully(stream, LEAST)
            except OSError as error:
                reason = error.strerror or str(error)
                raise StoreError(f"Could not read {path}: {reason}.") from error
            if f"sha256:{hashlib.sha256(value).hexdigest()}" != entry.digest:
                raise _changed(Path(path))
            yield layout.object_key(entry.digest), value

    store.backend.put_many(contents())


def _changed(path: Path) -> McgitopsError:
    return McgitopsError(
        f"{path} changed while it was being stored.",
        "Run the same again when nothing writes to it.",
    )


def _note(workspace: Workspace, pin: Pin) -> None:
    """Note what was pinned here: a push takes it along, also when something else is by then."""
    file = workspace.state / "data" / ADDED
    if pin.digest in added(workspace.folder):
        return
    with file.open("a") as stream:
        stream.write(f"{pin.digest}\n")


def added(folder: Path) -> tuple[str, ...]:
    """The manifests of what was pinned in this project folder, oldest first."""
    try:
        text = (folder / STATE_FOLDER / "data" / ADDED).read_text()
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(dict.fromkeys(line for line in text.splitlines() if line.startswith("sha256:")))


def _ignored(workspace: Workspace, path: str) -> str:
    """Write a line into the `.gitignore` beside the data, unless git ignores it already."""
    if found_pins.is_ignored(workspace.folder, path) is not False:
        return ""
    parent, _, name = path.rpartition("/")
    file = workspace.folder / parent / ".gitignore"
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        text = b""
    end = b"" if not text or text.endswith(b"\n") else b"\n"
    mode = file.stat().st_mode if text else None
    write_atomically(file, text + end + ignore_line(name).encode() + b"\n")
    if mode is not None:
        file.chmod(mode & 0o777)
    return f"{parent}/.gitignore" if parent else ".gitignore"


def _warnings(workspace: Workspace, pin: Pin) -> tuple[str, ...]:
    """What keeps the pin from doing its work, or makes it cost more than it has to."""
    from mcgitops.plan.planner import all_reads
    from mcgitops.run.gather import is_read

    found = []
    if found_pins.is_ignored(workspace.folder, pin.file):
        found.append(f"git ignores {pin.file}: correct the .gitignore, or git add --force it.")
    contexts = {r.path: r for r in all_reads(workspace.project) if r.kind == "context"}
    if any(is_read(workspace, (pin.file,), read) for read in contexts.values()):
        found.append(
            f"{pin.file} is in a build context, so each change of the data builds the image anew: "
            f"a line **/*{SUFFIX} in .dockerignore keeps it out."
        )
    return tuple(found)
