"""Data of a DVC project: it counts as its `.dvc` files say, and is fetched from DVC's remote.

Nothing of DVC is needed, and nothing of its project is changed. In a fingerprint the data counts
by the MD5 that the `.dvc` file gives, so a checkout without data knows its runs. Whether the files
here are those is found out by their MD5 once; later the index of SHA-256 digests says whether they
changed since.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mcgitops.deferred import dataclass
from mcgitops.errors import McgitopsError, StoreError, UsageError
from mcgitops.facts import dvc
from mcgitops.facts.dvc import Out
from mcgitops.facts.files import tree
from mcgitops.project.tree import Entry, Tree
from mcgitops.store.threads import each

if TYPE_CHECKING:
    from mcgitops.run.workspace import Workspace
    from mcgitops.store.backend import Backend

THREADS = 16
_CHUNK = 1024 * 1024
"""As DVC 2 read text files: line ends were changed within such a piece."""
_LARGEST_LIST = 1024 * 1024 * 1024
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"
"""What DVC 2 took for text, unless more than 30 % of the first 512 bytes was something else."""


@dataclass(frozen=True)
class State:
    """How the folder stands to what DVC tracks at a path.

    what:    `as pinned`, `not here`, `partly here`, `older` or `changed here`.
    fetch:   relative paths to be fetched, and their MD5; for a file the path is its name.
    discard: paths that belong to an older state.
    """

    what: str
    fetch: Mapping[str, str]
    discard: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether the data counts as the `.dvc` file says."""
        return self.what != "changed here"


class DvcData:
    """A project's data under DVC."""

    def __init__(self, workspace: Workspace, names: Iterable[str]) -> None:
        self._workspace = workspace
        self._folder = workspace.folder
        # without DVC's folder above them, files that are called so are something else
        self.outs = dvc.outs(self._folder, names) if self._config is not None else ()
        self._lists: dict[str, dict[str, str]] = {}

    # looking

    def here(self, out: Out) -> Tree:
        """What lies at the path, by SHA-256."""
        return tree(self._folder / out.path, self._workspace.index)

    def agrees(self, out: Out, here: Tree) -> bool:
        """Whether what is here is what the `.dvc` file says; nothing else is asked for that."""
        if self._noted(out.path).get(here.digest) == out.md5:
            return True
        if not here.entries or self._md5_of(out, here) != out.md5:
            return False
        self._note(out.path, here.digest, out.md5)
        return True

    def state(self, out: Out) -> State:
        """How the folder stands to it. Needs the list of a folder's files where it isn't as pinned.

        Where no list can be had, what is here counts as changed.
        """
        if not os.path.lexists(self._folder / out.path):
            return State("not here", {})
        here = self.here(out)
        if self.agrees(out, here):
            return State("as pinned", {})
        if not out.is_folder:
            name = posixpath.basename(out.path)
            older = here.digest in self._noted(out.path)
            return (
                State("older", {name: out.md5})
                if older
                else State("changed here", {}, (), (), (), (name,))
            )
        try:
            wanted = self.listed(out)
        except StoreError:
            return State("changed here", {})
        return self._compared(out, here, wanted)

    def _compared(self, out: Out, here: Tree, wanted: Mapping[str, str]) -> State:
        now = self._md5s(out, here)
        older = here.digest in self._noted(out.path)
        fetch = {path: md5 for path, md5 in wanted.items() if now.get(path) != md5}
        if older:
            discard = tuple(sorted(now.keys() - wanted.keys()))
            return State("older", fetch, discard)
        added = tuple(sorted(now.keys() - wanted.keys()))
        changed = tuple(sorted(path for path in fetch if path in now))
        if not added and not changed:
            return State("partly here", fetch)
        missing = tuple(sorted(path for path in fetch if path not in now))
        return State("changed here", {}, (), added, missing, changed)

    def listed(self, out: Out) -> dict[str, str]:
        """A folder's files: relative path → MD5. From DVC's cache, else from its remote."""
        if out.md5 not in self._lists:
            with self._opened(out, out.md5) as stream:
                data = stream.read(_LARGEST_LIST)
            if hashlib.md5(data, usedforsecurity=False).hexdigest() != out.md5[:32]:
                raise StoreError(
                    f"DVC's list of the files of {out.path} is damaged.", "dvc pull mends it."
                )
            try:
                found = {str(e["relpath"]): str(e["md5"]) for e in json.loads(data)}
            except (ValueError, KeyError, TypeError):
                raise StoreError(f"DVC's list of the files of {out.path} can't be read.") from None
            for path in found:
                parts = path.split("/")
                if "\0" in path or any(part in ("", ".", "..", ".git") for part in parts):
                    raise UsageError(
                        f"{out.file} lists the path {path[:200]!r}, which leads out of its folder.",
                        "Don't use that data; nothing was changed.",
                    )
            self._lists[out.md5] = found
        return self._lists[out.md5]

    # MD5

    def _md5_of(self, out: Out, here: Tree) -> str:
        """The MD5 of what is here, as DVC computes it of a file or of a folder."""
        md5s = self._md5s(out, here)
        if not out.is_folder:
            return next(iter(md5s.values()), "")
        listed = [{"md5": md5s[path], "relpath": path} for path in sorted(md5s)]
        data = json.dumps(listed, sort_keys=True).encode()
        return hashlib.md5(data, usedforsecurity=False).hexdigest() + ".dir"

    def _md5s(self, out: Out, here: Tree) -> dict[str, str]:
        """The MD5 of each file that is here; kept by its SHA-256."""
        known = self._known_md5s(legacy=out.legacy)
        place = self._folder / out.path
        root = place if out.is_folder else place.parent
        new = [entry for entry in here.entries if entry.digest not in known]
        hashed = each(lambda entry: _md5_at(root, entry, out), new, os.cpu_count() or 1)
        fresh = {
            entry.digest: md5
            for entry, md5 in zip(new, hashed, strict=True)
            if entry.digest.startswith("sha256:")  # what a link leads to may change
        }
        linked = {e.path: md5 for e, md5 in zip(new, hashed, strict=True)}
        if fresh:
            self._keep_md5s(fresh, legacy=out.legacy)
        return {entry.path: known.get(entry.digest) or linked[entry.path] for entry in here.entries}

    def _md5_file(self, *, legacy: bool) -> Path:
        return self._workspace.state / "data" / ("md5-of-text" if legacy else "md5")

    def _known_md5s(self, *, legacy: bool) -> dict[str, str]:
        try:
            text = self._md5_file(legacy=legacy).read_text()
        except (OSError, UnicodeDecodeError):
            return {}
        pairs = (line.partition(" ") for line in text.splitlines())
        return {digest: md5 for digest, _, md5 in pairs if len(md5) == 32}

    def _keep_md5s(self, found: Mapping[str, str], *, legacy: bool) -> None:
        file = self._md5_file(legacy=legacy)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as stream:
            stream.write("".join(f"{digest} {md5}\n" for digest, md5 in found.items()))

    def _note_file(self, path: str) -> Path:
        name = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
        return self._workspace.state / "data" / f"{name[:32]}.dvc"

    def _noted(self, path: str) -> dict[str, str]:
        """What trees at this path were found to be: digest → DVC's MD5."""
        try:
            found = json.loads(self._note_file(path).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _note(self, path: str, digest: str, md5: str) -> None:
        from mcgitops.run.output import write_atomically

        noted = {**self._noted(path), digest: md5}
        write_atomically(self._note_file(path), json.dumps(noted).encode())

    # fetching

    def bring(
        self, out: Out, chosen: Callable[[str], bool] | None = None
    ) -> tuple[int, int, list[str]]:
        """Make the folder as the `.dvc` file says: files written, their bytes, what was set aside.

        What was changed here by hand stays. chosen: narrows it to relative paths of a folder.
        """
        from mcgitops.run.output import put_aside

        state = self.state(out)
        place = self._folder / out.path
        root = place if out.is_folder else place.parent
        if state.what == "not here":
            wanted = self.listed(out) if out.is_folder else {place.name: out.md5}
        else:
            wanted = dict(state.fetch)
        wanted = {path: md5 for path, md5 in wanted.items() if chosen is None or chosen(path)}
        now = self._md5s(out, self.here(out))
        going = [path for path in state.discard if chosen is None or chosen(path)]
        going += [path for path in wanted if os.path.lexists(root / path)]
        aside: list[str] = []
        for path in going:
            if path in now and self._is_cached(now[path]):
                (root / path).unlink(missing_ok=True)
            else:
                whole = path if out.base == "." else f"{out.base}/{path}"
                aside += put_aside(self._workspace, whole)

        def fetch(pair: tuple[str, str]) -> int:
            self._fetch(out, pair[1], root / pair[0])
            return (root / pair[0]).lstat().st_size

        size = sum(each(fetch, sorted(wanted.items()), THREADS))
        if chosen is None:
            here = self.here(out)
            self.agrees(out, here)  # notes it
        return len(wanted), size, aside

    def _is_cached(self, md5: str) -> bool:
        """Whether DVC's own cache has the content, so that nothing is lost here."""
        if self._config is None:
            return False
        return any((self._config.cache / key).is_file() for key in keys(md5, legacy=False))

    def _fetch(self, out: Out, md5: str, target: Path) -> None:
        """Write one file, verified and atomically."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.resolve().is_relative_to(self._folder.resolve()):
            raise StoreError(f"{target} leads out of the project through a link.", "Remove it.")
        temporary = target.with_name(f".mcgitops-{os.getpid()}-{secrets.token_hex(8)}")
        mode = 0o777 if out.executable else 0o666
        try:
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with os.fdopen(handle, "wb") as copy, self._opened(out, md5) as stream:
                while chunk := stream.read(_CHUNK):
                    copy.write(chunk)
            if md5_of(temporary, out.legacy) != md5:
                raise StoreError(
                    f"What DVC has of {target} is damaged: its MD5 is not {md5[:12]}….",
                    f"Delete {keys(md5, legacy=out.legacy)[0]} in its cache and remote, which dvc "
                    "push else takes for good, then run dvc push where a good copy is.",
                )
            temporary.replace(target)
        except OSError as error:
            raise StoreError(f"Could not write {target}: {error.strerror or error}.") from error
        finally:
            temporary.unlink(missing_ok=True)

    @cached_property
    def _config(self) -> dvc.Config | None:
        return dvc.config(self._folder)

    @contextmanager
    def _opened(self, out: Out, md5: str) -> Iterator[BinaryIO]:
        """The content with this MD5 in DVC's cache, else in its remote, new layout or old."""
        tried = []
        for backend in self._backends(out):
            tried.append(backend.url)
            for key in keys(md5, legacy=out.legacy):
                opened: AbstractContextManager[BinaryIO] | None = backend.open(key)
                if opened is not None:
                    with opened as stream:
                        yield stream
                    return
        where = " nor in ".join(tried) or "DVC's cache"
        raise StoreError(
            f"The data of {out.path} ({out.file}) is neither here nor in {where}: it was not "
            "pushed yet.",
            "On the machine where it was added: dvc push.",
        )

    def _backends(self, out: Out) -> list[Backend]:
        if out.remote not in self._opened_backends:
            from mcgitops.store.folder import FolderBackend

            found: list[Backend] = []
            config = self._config
            if config is not None:
                found.append(FolderBackend(config.cache))
                remote = config.remote(out.remote)
                if remote is not None and remote.place.startswith("s3://"):
                    from mcgitops.store.s3 import open_bucket

                    found.append(open_bucket(remote.place, remote.keys))
                elif remote is not None:
                    found.append(FolderBackend(Path(remote.place)))
            self._opened_backends[out.remote] = found
        return self._opened_backends[out.remote]

    @cached_property
    def _opened_backends(self) -> dict[str, list[Backend]]:
        return {}


def keys(md5: str, *, legacy: bool) -> tuple[str, str]:
    """Where DVC keeps the content with this MD5; what fits its version comes first."""
    old = f"{md5[:2]}/{md5[2:]}"
    return (old, f"files/md5/{old}") if legacy else (f"files/md5/{old}", old)


def _md5_at(root: Path, entry: Entry, out: Out) -> str:
    """The MD5 of what is there; "" where a link leads to no file."""
    try:
        return md5_of(root / entry.path, out.legacy)
    except OSError as error:
        if entry.digest.startswith("link:"):
            return ""
        raise McgitopsError(
            f"{root / entry.path} can't be read: {error.strerror or error}."
        ) from None


def md5_of(path: Path, legacy: bool) -> str:
    """A file's MD5 as DVC 3 computes it, or DVC 2: of text with line ends as on Unix."""
    with path.open("rb", buffering=0) as stream:
        if not legacy:
            md5 = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
            return md5.hexdigest()
        first = stream.read(512)
        is_text = not first or (
            b"\0" not in first and len(first.translate(None, _TEXT)) / len(first) <= 0.3
        )
        stream.seek(0)
        own = hashlib.md5(usedforsecurity=False)
        while chunk := _whole(stream):
            own.update(chunk.replace(b"\r\n", b"\n") if is_text else chunk)
        return own.hexdigest()


def _whole(stream: BinaryIO) -> bytes:
    """A full piece, or what is left."""
    parts: list[bytes] = []
    left = _CHUNK
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def entry_of(out: Out, name: str) -> Entry:
    """What stands for all of it in the tree that a stage reads."""
    return Entry(name, f"md5:{out.md5}", out.size, False)
