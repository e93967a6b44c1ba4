"""Pins: small text files in git that stand for data which is too large for it. Pure.

`data/images.mcgitops` stands for the folder or file `data/images` beside it. It names the manifest
of the content by digest; manifest and files are objects of the store. One pin a path, so that two
branches that change different data merge without a conflict:

    # The data beside this file, under its name without .mcgitops. Commit this, not the data.
    format: 1
    kind: folder
    digest: sha256:<64 hex>
    tree: sha256:<64 hex>
    files: 1200
    bytes: 73400320

`digest` is that of the manifest: a line that says what it is, and then, as in `Tree.manifest`, a
line for each file and link, and one (`folder: - 0 PATH`) for each folder with nothing in it. Where
a store has it, it has all the files. `tree` is the digest of the files and links alone, which is
what planning compares; a run's record may bring that manifest to a store, without the files.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError
from mcgitops.project.model import Project, is_within
from mcgitops.project.tree import Entry, Tree

SUFFIX = ".mcgitops"
FORMAT = 1
HEADER = "mcgitops data 1\n"
"""The first line of a manifest."""
EMPTY_FOLDER = "folder:"
"""Stands for the digest of a folder with nothing in it."""
MARKERS = ("<<<<<<<", "=======", ">>>>>>>")
_ABOUT = (
    "# The data beside this file, under its name without .mcgitops. Commit this, not the data.\n"
    "# mcgitops data --help says how to get and change it.\n"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Pin:
    """What belongs at a path. `path` is relative to the project folder, `size` in bytes."""

    path: str
    digest: str
    files: int
    size: int
    is_folder: bool
    tree: str  # digest of files and links alone
    file: str  # the pin's own path

    @property
    def base(self) -> str:
        """The folder that the manifest's paths are below, relative to the project; "." for it."""
        return self.path if self.is_folder else posixpath.dirname(self.path) or "."

    @property
    def text(self) -> str:
        """The file that stands for it."""
        kind = "folder" if self.is_folder else "file"
        return (
            f"{_ABOUT}format: {FORMAT}\nkind: {kind}\ndigest: {self.digest}\n"
            f"tree: {self.tree}\nfiles: {self.files}\nbytes: {self.size}\n"
        )


def pin_of(
    path: str, tree: Tree, folders: Iterable[str] = (), *, is_folder: bool
) -> tuple[Pin, bytes]:
    """The pin of what was found at a path, and its manifest. `folders`: those with nothing in."""
    empty = [Entry(folder, EMPTY_FOLDER, 0, False) for folder in folders]
    whole = Tree.of((*tree.entries, *empty)) if empty else tree
    manifest = whole.encoded(HEADER.encode())
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    files = sum(not entry.digest.startswith("link:") for entry in tree.entries)
    pin = Pin(path, digest, files, tree.size, is_folder, tree.digest, path + SUFFIX)
    return pin, manifest


def read_manifest(manifest: bytes) -> Tree:
    """The entries that a manifest was made of. Raises `ValueError` for anything else."""
    text = manifest.decode("utf-8", "surrogateescape")
    if not text.startswith(HEADER):
        raise ValueError("no manifest of data")
    return Tree.parse(text[len(HEADER) :])


def parse(text: str, file: str) -> Pin:
    """Read a pin's text. `file` is where it is; raises `UsageError` with what is wrong with it."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith(MARKERS):
            raise UsageError(
                f"{file} has conflict markers of a merge.",
                "Keep one side (git checkout --ours or --theirs), bring its data with mcgitops "
                "data pull, make the other side's change again, and mcgitops data add.",
            )
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            fields[name.strip()] = value.strip()
    number = fields.get("format", "")
    if number.isdecimal() and int(number) > FORMAT:
        raise UsageError(
            f"{file} was written by a newer mcgitops (format {number[:9]}).", "Upgrade mcgitops."
        )
    digest, tree = fields.get("digest", ""), fields.get("tree", "")
    kind, files, size = (fields.get(name, "") for name in ("kind", "files", "bytes"))
    if (
        number != str(FORMAT)
        or kind not in ("folder", "file")
        or not (_DIGEST.fullmatch(digest) and _DIGEST.fullmatch(tree))
        or not all(re.fullmatch(r"[0-9]{1,18}", value) for value in (files, size))
    ):
        raise UsageError(
            f"{file} is no pin of mcgitops, or damaged.",
            "Take it from git again (git checkout), or pin the data anew: mcgitops data add.",
        )
    path = file.removesuffix(SUFFIX)
    return Pin(path, digest, int(files), int(size), kind == "folder", tree, file)


@dataclass(frozen=True)
class Joined:
    """How a folder stands to its pin, and what is to be done to make it the pin's.

    counts:  the entries that a run reads: the pin's, but for what was changed here by hand.
    fetch:   the pin's entries that aren't here yet, or only as an earlier pin had them.
    discard: what is here as an earlier pin had it, and this one doesn't have.
    added, removed, changed: what was done here by hand: paths, sorted.
    """

    counts: Mapping[str, Entry] = field(default_factory=dict)
    fetch: tuple[Entry, ...] = ()
    discard: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def edits(self) -> int:
        """How many paths were changed by hand."""
        return len(self.added) + len(self.removed) + len(self.changed)

    @property
    def agrees(self) -> bool:
        """Whether the folder is exactly what the pin says."""
        return not (self.edits or self.fetch or self.discard)


def join(pinned: Iterable[Entry], base: Iterable[Entry], here: Iterable[Entry]) -> Joined:
    """Hold a folder against its pin.

    pinned: what the pin says.  here: what the folder has.  base: what this folder last had of a
    pin, as far as that is known: it tells a file that was changed by hand from one that only is
    older, and one that was removed by hand from one that was never fetched.
    """
    wanted = {e.path: e for e in pinned if e.digest != EMPTY_FOLDER}
    now = {e.path: e for e in here}
    before = {e.path: e for e in base}
    counts: dict[str, Entry] = {}
    fetch: list[Entry] = []
    discard: list[str] = []
    added: list[str] = []
    removed: list[str] = []
    changed: list[str] = []
    for path in sorted(wanted.keys() | now.keys()):
        pin, has, had = wanted.get(path), now.get(path), before.get(path)
        if pin is not None and pin == has:
            counts[path] = pin
        elif has is not None and has != had:
            (added if pin is None else changed).append(path)
            counts[path] = has
        elif pin is None:
            discard.append(path)
        elif has is None and had == pin:
            removed.append(path)
        else:
            counts[path] = pin
            fetch.append(pin)
    return Joined(
        counts, tuple(fetch), tuple(discard), tuple(added), tuple(removed), tuple(changed)
    )


def shown_read_only(project: Project, pinned: Callable[[], Iterable[str]]) -> Project:
    """The project with all stages' bind mounts of pinned data read-only, whatever the file says.

    What many runs read, none of them may change; and a writable mount would be copied for each of
    them. `pinned` (project-relative paths) is asked only where a stage has a mount that could be
    meant.
    """
    produced = project.produced()
    services = dict(project.services)
    for name, service in project.services.items():
        if service.stage is None:
            continue
        open_ = [
            mount
            for mount in service.mounts
            if mount.kind == "bind"
            and not mount.read_only
            and (path := project.relative(mount.source)) is not None
            and not any(is_within(made, path) or is_within(path, made) for made in produced)
        ]
        if not open_:
            continue
        paths = tuple(pinned())
        closed = {
            mount
            for mount in open_
            if any(is_within(project.relative(mount.source) or "", path) for path in paths)
        }
        if closed:
            pairs = zip(service.mounts, service.definition["volumes"], strict=True)
            volumes = [{**raw, "read_only": True} if m in closed else raw for m, raw in pairs]
            services[name] = replace(
                service,
                definition={**service.definition, "volumes": volumes},
                mounts=tuple(
                    replace(m, read_only=True, pinned=True) if m in closed else m
                    for m in service.mounts
                ),
            )
    return replace(project, services=services) if services != project.services else project


def ignore_line(name: str) -> str:
    r"""The line of a `.gitignore` that stands for exactly this name in its folder.

    What git gives a meaning is escaped; a line break can only be stood for by `?`.
    """
    escaped = re.sub(r"([\\*?\[])", r"\\\1", name)
    if (body := escaped.rstrip(" ")) != escaped:
        escaped = body + "\\ " * (len(escaped) - len(body))
    return "/" + re.sub(r"[\r\n]", "?", escaped)
