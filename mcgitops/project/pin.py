"""Pins: small text files in git that stand for data which is too large for it. Pure.

`data/images.mcgitops` stands for the folder or file `data/images` beside it. It names the manifest
of the content by digest; manifest and files are objects of the store. One pin a path, so that two
branches that change different data merge without a conflict:

    # The data beside this file, under its name without .mcgitops. Commit this, not the data.
    format: 1
    kind: folder
    digest: sha256:<64 hex>
    files: 1200
    bytes: 73400320

`digest` is that of the manifest (`Tree.manifest`): a line for each file and link, and one
(`folder: - 0 PATH`) for each folder with nothing in it. Only where there are such folders a line
`tree:` gives the digest of the files and links alone, which is what planning compares.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mcgitops.errors import UsageError
from mcgitops.project.tree import Entry, Tree

SUFFIX = ".mcgitops"
FORMAT = 1
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
    is_folder: bool = True
    tree: str = ""  # digest of files and links alone
    file: str = ""  # the pin's own path

    @property
    def base(self) -> str:
        """The folder that the manifest's paths are below, relative to the project; "." for it."""
        return self.path if self.is_folder else posixpath.dirname(self.path) or "."

    @property
    def text(self) -> str:
        """The file that stands for it."""
        tree = f"tree: {self.tree}\n" if self.tree != self.digest else ""
        kind = "folder" if self.is_folder else "file"
        return (
            f"{_ABOUT}format: {FORMAT}\nkind: {kind}\ndigest: {self.digest}\n{tree}"
            f"files: {self.files}\nbytes: {self.size}\n"
        )


def pin_of(path: str, tree: Tree, folders: Iterable[str] = (), *, is_folder: bool) -> Pin:
    """The pin of what was found at a path. `folders` are those with nothing in them."""
    whole = with_folders(tree, folders)
    files = sum(not entry.digest.startswith("link:") for entry in tree.entries)
    return Pin(path, whole.digest, files, tree.size, is_folder, tree.digest, path + SUFFIX)


def with_folders(tree: Tree, folders: Iterable[str]) -> Tree:
    """The tree with lines for empty folders."""
    more = [Entry(path, EMPTY_FOLDER, 0, False) for path in folders]
    return Tree.of((*tree.entries, *more)) if more else tree


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
    digest = fields.get("digest", "")
    tree = fields.get("tree", digest)
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


def ignore_line(name: str) -> str:
    r"""The line of a `.gitignore` that stands for exactly this name in its folder.

    What git gives a meaning is escaped; a line break can only be stood for by `?`.
    """
    escaped = re.sub(r"([\\*?\[])", r"\\\1", name)
    if (body := escaped.rstrip(" ")) != escaped:
        escaped = body + "\\ " * (len(escaped) - len(body))
    return "/" + re.sub(r"[\r\n]", "?", escaped)
